// One picture in three dimensions: turned with the pointer, with its lines named in a corner.

import { Take } from './take.js'
import { html, spoken } from './text.js'

const CONFIG = { displayModeBar: false, responsive: false, showTips: false }

/** Can this browser draw in three dimensions? */
const solid = () => {
  const context = document.createElement('canvas').getContext('webgl')
  context?.getExtension('WEBGL_lose_context')?.loseContext()
  return Boolean(context)
}

export class Scene {
  #figure = null
  #busy = false
  #stale = false

  constructor(root, plotly, words, look) {
    Object.assign(this, { root, plotly, words, look, able: solid() })
    this.title = root.querySelector('h2')
    this.answer = root.querySelector('p')
    this.plot = root.querySelector('.plot')
    this.graph = root.querySelector('.graph')
    this.over = root.querySelector('.words')
    this.size = new ResizeObserver(([{ contentRect: { width, height } }]) => {
      if (width === this.width && height === this.height) return
      Object.assign(this, { width, height })
      this.draw()
    })
    this.size.observe(this.plot)
    if (words.take && this.able) this.take = new Take(this)
  }

  /** What it shows, as it is turned now. */
  copy() { return { figure: this.#figure, hidden: [], camera: { camera: this.graph._fullLayout?.scene?.camera } } }

  close() {
    this.take?.close()
    this.size.disconnect()
    this.plotly.purge(this.graph)
  }

  /** Show a figure. Where one takes long (no graphics card), those that come meanwhile are left out, but for the last. */
  show(figure) {
    this.#figure = figure
    this.#stale = true
    if (this.#busy) return
    this.#stale = false
    this.#busy = true
    const begin = performance.now()
    this.draw()
    requestAnimationFrame(() => setTimeout(() => setTimeout(() => {
      this.#busy = false
      if (this.#stale && this.root.isConnected) this.show(this.#figure)
    }, performance.now() - begin))) // as long a rest as it took: the others want to move, too
  }

  draw() {
    const { width, height, look } = this
    if (!this.#figure || !(width >= 40 && height >= 40)) return
    const { data, layout } = this.#figure, { meta } = layout, { fs } = look
    html(this.title, meta.question)
    html(this.answer, meta.answer)
    this.graph.setAttribute('aria-label', spoken(`${meta.question} ${meta.answer}. ${meta.alt ?? ''}`))
    this.take?.named(meta.question)
    this.#legend(meta.labels, fs)
    if (!this.able) return
    const axis = (given) => ({ ...given, tickfont: { size: fs }, title: { ...given.title, font: { size: fs * 1.2 } } })
    const scene = { ...layout.scene }
    for (const name of ['xaxis', 'yaxis', 'zaxis']) scene[name] = axis(scene[name])
    scene.dragmode = matchMedia('(pointer: coarse)').matches ? false : 'turntable' // a finger scrolls the page
    this.plotly.react(this.graph, data, {
      ...layout, meta: undefined, scene, width, height, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: 'rgba(0,0,0,0)',
      font: { ...layout.font, family: look.family, size: fs }, uirevision: 'stage',
      hoverlabel: { ...layout.hoverlabel, font: { ...layout.hoverlabel.font, size: fs, family: look.family } },
    }, CONFIG)
  }

  #legend(labels, fs) {
    const said = this.able ? labels : [{ text: this.words.no_solid, color: 'inherit' }]
    this.over.replaceChildren(...said.map(({ text, color }, i) => {
      const line = document.createElement('span')
      html(line, text)
      line.style.color = color
      line.style.transform = `translate(4px, ${Math.round(4 + i * fs * 1.35)}px)`
      return line
    }))
  }
}
