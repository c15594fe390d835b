// One update in slow motion: the network unrolled in time, the phases over it, the equation and a picture beside it. All
// positions come at once with the page; here they are only shown. Streamlit calls mount at every rerun.

import { Frames, fromBase64 } from './frames.js'
import { lookOf, plotly, styled, themeOf } from './page.js'
import { Picture } from './picture.js'
import { Replay } from './replay.js'
import { html } from './text.js'

const PACE = { whole: 24000, least: 300, most: 900 } // ms: an update is to be read, not only seen
const TYPING = 'input:not([type=range]), textarea, select, [contenteditable=true]'
const FIGURE = '<h2></h2><p></p><button type="button" class="whole" hidden></button><div class="plot"><div class="graph" role="img"></div><div class="words"></div></div>'

/**
 * A figure at position k. layout.meta.reveal says from which position on a part of it is there: {trace, since, until} with
 * a position for each point, or {trace, columns} with one for each column of a map.
 */
export function at(figure, k, fs) {
  const data = [...figure.data]
  for (const { trace, since, until, columns } of figure.layout.meta.reveal ?? []) {
    const whole = data[trace], own = (data[trace] = { ...whole })
    if (columns) own.z = whole.z.map((row) => row.map((v, c) => (columns[c] <= k ? v : NaN)))
    else own.y = whole.y.map((v, i) => (since[i] <= k && !(until?.[i] <= k) ? v : NaN))
  }
  for (const [i, trace] of data.entries()) if (trace.meta?.size) data[i] = { ...trace, textfont: { ...trace.textfont, size: fs * trace.meta.size } }
  return { ...figure, data }
}

class Motion {
  look = {}
  pictures = new Map()

  constructor(root, library) {
    Object.assign(this, { root, library })
    this.watch = setInterval(() => { if (!root.isConnected) this.close() }, 500)
    this.size = new ResizeObserver(() => this.#measure())
    this.keys = (e) => this.#key(e)
    this.hash = () => { const k = this.#linked(this.told); if (k >= 0) this.replay.go(k) }
    document.addEventListener('keydown', this.keys)
    addEventListener('hashchange', this.hash)
  }

  /** Show an update; the same one again changes nothing but the theme. */
  show({ frame, ids, words, told, phases, theme }, ask) {
    const here = themeOf(this.root), said = JSON.stringify([told, phases])
    this.root.classList.toggle('dark', here === 'dark')
    if (here !== theme) ask(here) // the server cannot know the theme before the page has said it
    if (frame === this.frame && said === this.said) return
    const begin = this.frame === undefined ? Math.max(this.#linked(told), 0) : undefined, frames = new Frames() // with the first timestep: the rest is to be seen coming
    Object.assign(this, { frame, said, told, phases })
    frames.apply(fromBase64(frame))
    this.figures = frames.figures
    if (String(ids) !== String([...this.pictures.keys()])) this.#build(ids, words)
    this.#bar()
    this.replay.pause()
    this.replay.over(told.length - 1, begin)
  }

  close() {
    clearInterval(this.watch)
    this.replay?.pause()
    this.size.disconnect()
    document.removeEventListener('keydown', this.keys)
    removeEventListener('hashchange', this.hash)
    for (const picture of this.pictures.values()) picture.close()
    motions.delete(this.root)
  }

  #build(ids, words) {
    this.root.innerHTML = `<div class="phases" role="group"></div><p class="says" aria-live="polite"></p><div class="over"></div>
      <section class="equation"></section><div class="beside"></div>`
    const find = (selector) => this.root.querySelector(selector)
    find('.phases').setAttribute('aria-label', words.phases)
    find('.equation').setAttribute('aria-label', words.equation)
    this.replay = new Replay(words, (step) => this.#step(step), PACE)
    find('.phases').after(this.replay.root)
    const drawn = ids.map((id, i) => {
      const figure = Object.assign(document.createElement('figure'), { id: 'motion-' + id, innerHTML: FIGURE })
      figure.querySelector('.whole').textContent = words.whole
      find(i ? '.beside' : '.over').append(figure)
      return figure
    })
    this.size.observe(this.root)
    Object.assign(this.look, lookOf(find('figure p')))
    this.pictures = new Map(ids.map((id, i) => [id, new Picture(drawn[i], this.library, words, this.look)]))
  }

  #bar() {
    const bar = this.root.querySelector('.phases')
    bar.replaceChildren(...this.phases.map(({ phase, name, number, at }) => {
      const button = Object.assign(document.createElement('button'), { type: 'button' })
      button.append(document.createElement('b'), document.createElement('span'))
      html(button.firstChild, name)
      html(button.lastChild, number)
      button.dataset.phase = phase
      button.onclick = () => this.replay.go(at)
      return button
    }))
  }

  // --- positions

  #step(k) {
    const { phase, name, says, beside, lines } = this.told[k], { fs } = this.look
    Object.assign(this.root.dataset, { phase, position: name })
    const order = this.phases.map((p) => p.phase), now = order.indexOf(phase)
    for (const button of this.root.querySelectorAll('.phases button')) {
      const own = order.indexOf(button.dataset.phase)
      button.classList.toggle('done', own < now)
      button.setAttribute('aria-current', own === now ? 'step' : 'false')
    }
    html(this.root.querySelector('.says'), says)
    this.#equation(lines)
    const [first] = this.pictures.keys()
    for (const [id, picture] of this.pictures) {
      const seen = id === first || id === beside
      picture.root.classList.toggle('away', !seen)
      if (seen) picture.show(at(this.figures[id], k, fs), true)
    }
    this.#follow(k)
    if (!this.replay.playing) history.replaceState(history.state, '', `${location.pathname}${location.search}#${name}`)
  }

  #equation(lines) {
    const section = this.root.querySelector('.equation')
    section.replaceChildren(...lines.map(({ about, terms }) => {
      const line = Object.assign(document.createElement('div'), { className: 'line' })
      const who = line.appendChild(Object.assign(document.createElement('p'), { className: 'about' }))
      html(who, about)
      const row = line.appendChild(Object.assign(document.createElement('p'), { className: 'terms' }))
      for (const [symbol, number] of terms) {
        const term = row.appendChild(document.createElement('span'))
        const above = term.appendChild(document.createElement('span'))
        html(above, symbol)
        if (number) html(term.appendChild(document.createElement('b')), number)
        else term.className = 'sign'
      }
      return line
    }))
  }

  /** Where the drawing is wider than the screen, what is computed now is in the middle of it. */
  #follow(k) {
    const over = this.root.querySelector('.over'), name = this.told[k].name.split('-')[1]
    if (!name || over.scrollWidth <= over.clientWidth) return
    const { columns } = this.figures[this.pictures.keys().next().value].layout.meta
    const last = columns.at(-1)[0], column = columns.find(([, t]) => String(t) === name)?.[0] ?? last
    over.scrollLeft = (column / Math.max(last, 1)) * (over.scrollWidth - over.clientWidth)
  }

  /** The position that the address names, "#backward-7"; −1: none. */
  #linked(told) {
    const name = location.hash.slice(1)
    return told.findIndex((p) => p.name === name)
  }

  #key(e) {
    const from = e.composedPath()[0]
    if (!this.replay || e.ctrlKey || e.metaKey || e.altKey || from.closest?.(TYPING)) return
    const slider = from.closest?.('input[type=range], [role=slider], [role=radio], [role=tab]'), button = from.closest?.('button, a, summary')
    if (e.key === ' ' && !button && !slider) this.replay.playing ? this.replay.pause() : this.replay.start()
    else if (e.key === 'ArrowRight' && !slider) this.replay.go(this.replay.step + 1)
    else if (e.key === 'ArrowLeft' && !slider) this.replay.go(this.replay.step - 1)
    else return
    e.preventDefault()
  }

  #measure() {
    const { fs } = this.look
    Object.assign(this.look, lookOf(this.root.querySelector('figure p')))
    if (fs !== this.look.fs && this.replay) this.#step(this.replay.step)
  }
}

const sheet = () => new Promise((ok) => {
  const href = new URL('motion.css', import.meta.url).href
  if ([...document.styleSheets].some((s) => s.href === href)) return ok()
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href, onload: ok, onerror: ok }))
})

const motions = new Map() // root -> Motion

export default async function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.motion')
  const [library] = await Promise.all([plotly(), styled(), sheet()])
  if (!motions.has(root)) motions.set(root, new Motion(root, library))
  motions.get(root).show(data, (theme) => setTriggerValue('theme', theme))
}
