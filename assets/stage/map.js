// A map whose cells lead to their runs: one picture, and a frame around the cell that is pointed at, by mouse, finger or
// keys. Streamlit calls mount at every rerun; a click or Enter tells Python which cell it was.

import { Frames, fromBase64 } from './frames.js'
import { Keys } from './lecture.js'
import { lookOf, plotly, styled, themeOf, wideNames } from './page.js'
import { Picture } from './picture.js'
import { spoken } from './text.js'

const STILL = 4 // px that a click may move

class CellMap {
  look = {}
  at = null // the cell that has the frame: [column, row]

  constructor(root, library) {
    Object.assign(this, { root, library })
    this.watch = setInterval(() => { if (!root.isConnected) this.close() }, 500)
    this.figure = Object.assign(document.createElement('figure'), { id: 'map-picture' })
    this.figure.innerHTML = '<h2></h2><p></p><button type="button" class="whole" hidden></button><div class="plot"><div class="graph" role="img"></div><div class="words"></div></div>'
    root.replaceChildren(this.figure)
    this.size = new ResizeObserver(() => this.#measure())
    this.size.observe(root)
  }

  /** Show a frame; the same one again changes nothing but the theme. */
  show({ frame, words, theme, keys }, tell) {
    this.tell = tell
    this.words = words
    this.keys ??= new Keys(this.root, keys)
    const here = themeOf(this.root)
    this.root.classList.toggle('dark', here === 'dark')
    if (here !== theme) tell('theme', here)
    if (frame === this.frame) return
    this.frame = frame
    const frames = new Frames()
    frames.apply(fromBase64(frame))
    this.map = frames.figures.map
    this.#look()
    this.figure.querySelector('.whole').textContent = words.whole
    if (!this.picture) this.#begin()
    this.picture.show(this.map, true)
    this.#mark()
  }

  close() {
    clearInterval(this.watch)
    this.size.disconnect()
    this.keys.close()
    if (this.release) removeEventListener('pointerup', this.release)
    this.picture?.close()
    maps.delete(this.root)
  }

  #begin() {
    this.picture = new Picture(this.figure, this.library, this.words, this.look)
    const { plot } = this.picture
    this.box = plot.appendChild(Object.assign(document.createElement('i'), { className: 'cell', hidden: true }))
    this.box.setAttribute('aria-hidden', 'true')
    this.said = plot.appendChild(Object.assign(document.createElement('div'), { className: 'cells', tabIndex: 0 }))
    this.said.setAttribute('role', 'application')
    this.said.setAttribute('aria-label', this.words.map_keys)
    this.live = this.figure.appendChild(Object.assign(document.createElement('div'), { className: 'heard' }))
    this.live.setAttribute('aria-live', 'polite')
    let down = null
    plot.addEventListener('pointerdown', (e) => { down = e.button === 0 && !e.target.closest('button') ? e : null })
    this.release = (e) => { // anywhere: Plotly lays a sheet over the page while a button is down
      const at = down && Math.hypot(e.clientX - down.clientX, e.clientY - down.clientY) < STILL && this.#cell(e)
      down = null
      if (at) this.#open(at)
    }
    addEventListener('pointerup', this.release)
    plot.addEventListener('pointermove', (e) => { if (e.pointerType !== 'touch') this.#to(this.#cell(e), false) })
    plot.addEventListener('pointerleave', () => { if (document.activeElement !== this.said) this.#to(null, false) })
    this.said.addEventListener('keydown', (e) => this.#key(e))
    this.said.addEventListener('focus', () => this.#to(this.at ?? [0, 0], true))
    this.said.addEventListener('blur', () => this.#to(null, false))
  }

  get #cells() { return this.map.layout.meta.cells }

  /** The cell under the pointer. */
  #cell({ clientX, clientY }) {
    const { plot, box, ranges, look: { margin: { l, t } } } = this.picture, { left, top } = plot.getBoundingClientRect()
    if (!box) return null
    const x = (clientX - left - l) / box.w, y = 1 - (clientY - top - t) / box.h
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return null
    const { x: xs, y: ys } = this.#cells, value = ([a, b], share) => a + (b - a) * share
    return [nearest(xs, value(ranges.x, x)), ys.length ? nearest(ys, value(ranges.y, y)) : 0]
  }

  #to(at, keyed) {
    this.at = at
    this.#mark()
    if (keyed && at) this.live.textContent = spoken(this.#cells.said[at[1]][at[0]])
  }

  /** The frame around the cell; with the keys its text stands beside it, as under a pointer. */
  #mark() {
    const { picture, at } = this, { box, ranges } = picture
    this.box.hidden = !at || !box
    if (this.box.hidden) return
    const { l, t } = picture.look.margin, { x: xs, y: ys } = this.#cells
    const [x0, x1] = edges(xs, at[0], ranges.x), [y0, y1] = ys.length ? edges(ys, at[1], ranges.y) : [0, 1]
    this.box.classList.toggle('point', !ys.length)
    const css = { left: l + x0 * box.w, top: t + (1 - y1) * box.h, width: (x1 - x0) * box.w, height: (y1 - y0) * box.h }
    for (const [name, value] of Object.entries(css)) this.box.style[name] = `${value}px`
    const keyed = document.activeElement === this.said
    this.box.dataset.said = keyed ? spoken(this.#cells.said[at[1]][at[0]].replace(/<br>/g, '\n')) : ''
    this.box.classList.toggle('keyed', keyed)
    this.box.classList.toggle('left', x0 > 0.5)
    this.box.classList.toggle('low', y1 < 0.35)
  }

  #key(e) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key]
    if (e.ctrlKey || e.metaKey || e.altKey || !(by || e.key === 'Enter' || e.key === ' ')) return
    e.preventDefault()
    e.stopPropagation()
    const at = this.at ?? [0, 0], { x, y } = this.#cells, within = (k, n) => Math.min(Math.max(k, 0), Math.max(n, 1) - 1)
    if (by) this.#to([within(at[0] + by[0], x.length), within(at[1] + by[1], y.length)], true)
    else this.#open(at)
  }

  #open([x, y]) { this.tell('pick', { x, y }) }

  #look() {
    const { fs, family, margin } = lookOf(this.root.querySelector('p'))
    const l = this.map ? wideNames(this.map, fs, family) : 0
    Object.assign(this.look, { fs, family, margin: { ...margin, t: Math.round(fs * (this.map?.layout.meta.bar ? 3.3 : 2.1)), b: Math.round(fs * 3.3), l: Math.max(margin.l, l) } })
  }

  #measure() {
    const { fs } = this.look
    this.#look()
    if (fs !== this.look.fs) this.picture?.draw()
    requestAnimationFrame(() => { if (this.picture) this.#mark() })
  }
}

const nearest = (values, at) => values.reduce((best, value, k) => (Math.abs(value - at) < Math.abs(values[best] - at) ? k : best), 0)

/** Where a cell begins and ends, as shares of the axis: halfway to its neighbours. */
function edges(values, k, [a, b]) {
  const gap = (i) => (values[i + 1] - values[i]) / 2, last = values.length - 1
  const low = values.length < 2 ? 0.5 : gap(Math.max(k - 1, 0)), high = values.length < 2 ? 0.5 : gap(Math.min(k, last - 1))
  return [values[k] - low, values[k] + high].map((v) => Math.min(Math.max((v - a) / (b - a), 0), 1))
}

const maps = new Map() // root -> CellMap

export default async function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.still')
  const [library] = await Promise.all([plotly(), styled(), styled('lecture.css'), styled('map.css')])
  if (!maps.has(root)) maps.set(root, new CellMap(root, library))
  maps.get(root).show(data, setTriggerValue)
}
