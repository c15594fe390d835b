// The gallery: cards with small films, drawn as SVG and canvas. Each plays once when it comes into view, and again when it
// is pointed at or has the focus; where motion is not wanted, its last frame stands. Streamlit calls mount at every rerun.

import { themeOf } from './page.js'
import { fill, html } from './text.js'

const FRAME = 110 // ms
const SOON = 120, ASK = 700 // ms between two questions for films that are still to come: the first, and the longest
const still = matchMedia('(prefers-reduced-motion: reduce)')
const SVG = 'http://www.w3.org/2000/svg'
const make = (tag, about = {}, ...inside) => { const e = Object.assign(document.createElement(tag), about); e.append(...inside); return e }

const styled = () => new Promise((ok) => {
  const href = new URL('gallery.css', import.meta.url).href
  if ([...document.styleSheets].some((s) => s.href === href)) return ok()
  document.head.append(make('link', { rel: 'stylesheet', href, onload: ok, onerror: ok }))
})

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16))

/** 256 colours through evenly spaced stops. */
function ramp(stops) {
  const ends = stops.map(rgb)
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (ends.length - 1), k = Math.min(Math.floor(at), ends.length - 2), part = at - k
    return ends[k].map((c, j) => Math.round(c + part * (ends[k + 1][j] - c)))
  })
}

class Film {
  #timer = 0
  #frame = -1

  constructor(root, gallery) {
    Object.assign(this, { root, gallery })
    root.dataset.coming = gallery.words.coming
    this.caption = make('span', { className: 'at' })
  }

  show(film) {
    this.film = film
    this.count = Math.max(1, film.at.length, film.text?.length ?? 0, film.image?.frames.length ?? 0, ...[...film.lines, ...film.dots].map((part) => part.frames.length))
    this.root.classList.remove('coming')
    this.root.replaceChildren()
    const field = this.root.appendChild(make('div', { className: 'field' }))
    this.#frameOf(film)
    if (film.image) this.canvas = field.appendChild(make('canvas', { width: film.image.columns, height: film.image.rows }))
    if (film.lines.length || film.dots.length) {
      const svg = field.appendChild(document.createElementNS(SVG, 'svg'))
      svg.setAttribute('viewBox', '0 0 1000 1000')
      svg.setAttribute('preserveAspectRatio', 'none')
      const path = (part, width) => {
        const p = svg.appendChild(document.createElementNS(SVG, 'path'))
        p.setAttribute('stroke-width', width)
        if (part.dash) p.setAttribute('stroke-dasharray', part.dash)
        return p
      }
      this.lines = film.lines.map((part) => path(part, part.width))
      this.dots = film.dots.map((part) => path(part, part.size))
    }
    if (film.text) this.said = field.appendChild(make('div', { className: 'said' }))
    this.rest()
    if (this.seen) this.play()
  }

  /** What goes up, what goes right and what colours and lines mean: above and below the picture. */
  #frameOf({ axes, keys }) {
    const { words } = this.gallery, above = make('div', { className: 'above' }), below = make('div', { className: 'below' })
    const say = (to, text, [name, low, high]) => html(to.appendChild(make('span')), fill(text, { name: words.axes[name], low, high }))
    if (axes.y) say(above, words.up, axes.y)
    for (const [tone, dash, name] of keys) {
      const sample = document.createElementNS(SVG, 'svg'), line = sample.appendChild(document.createElementNS(SVG, 'path'))
      for (const [key, value] of Object.entries({ viewBox: '0 0 18 6', class: 'sample' })) sample.setAttribute(key, value)
      for (const [key, value] of Object.entries({ d: 'M1 3H17', 'stroke-width': 2.5, 'stroke-dasharray': dash })) line.setAttribute(key, value)
      line.style.stroke = `var(--${tone})`
      above.append(make('span', { className: 'key' }, sample, words.keys[name]))
    }
    above.append(this.caption)
    if (axes.colour) {
      const [name, low, high] = axes.colour, bar = make('span', { className: 'bar' }), of = make('span', { className: 'colours' })
      this.bar = bar
      html(of.appendChild(make('span')), `${words.axes[name]} ${low}`)
      of.append(bar)
      html(of.appendChild(make('span')), high)
      below.append(of)
    }
    if (axes.x) say(below, words.right, axes.x)
    this.root.append(above, below)
    this.root.classList.toggle('bare', !axes.x)
  }

  draw(frame) {
    const { film } = this, { colours } = this.gallery, of = (frames) => frames[Math.min(frame, frames.length - 1)]
    this.#frame = frame
    if (this.bar) this.bar.style.background = `linear-gradient(90deg, ${colours[film.image.map]})`
    film.lines.forEach((part, i) => {
      let d = '', pen = 'M'
      of(part.frames).forEach((y, k) => {
        if (y === null || part.x[k] === null) { pen = 'M'; return }
        d += `${pen}${part.x[k]} ${1000 - y}`
        pen = 'L'
      })
      this.lines[i].setAttribute('d', d)
      this.lines[i].setAttribute('stroke', colours[part.tone])
    })
    film.dots.forEach((part, i) => {
      this.dots[i].setAttribute('d', of(part.frames).map(([x, y]) => `M${x} ${1000 - y}h0`).join(''))
      this.dots[i].setAttribute('stroke', colours[part.tone])
    })
    if (film.image) this.#paint(of(film.image.frames), film.image.grows ? Math.round(((frame + 1) / this.count) * film.image.columns) : film.image.columns)
    if (film.text) this.said.textContent = of(film.text)
    const n = film.at[Math.min(frame, film.at.length - 1)]
    this.caption.textContent = film.word ? fill(this.gallery.words[film.word], { n }) : ''
  }

  #paint(packed, until) {
    const { rows, columns, map } = this.film.image, raw = atob(packed), pen = this.canvas.getContext('2d'), data = pen.createImageData(columns, rows), lut = this.gallery.ramp(map)
    for (let i = 0; i < raw.length; i++) {
      if (i % columns >= until) continue
      const [r, g, b] = lut[raw.charCodeAt(i)]
      data.data.set([r, g, b, 255], 4 * i)
    }
    pen.putImageData(data, 0, 0)
  }

  rest() { this.draw(this.film.rest < 0 ? this.count - 1 : this.film.rest) }

  redraw() { if (this.film) this.draw(this.#frame) }

  /** From the first frame to the last; one that is playing goes on. */
  play(wait = 0) {
    this.seen = true
    if (!this.film || this.count < 2 || still.matches || this.#timer) return
    let frame = 0
    const next = () => {
      if (!this.root.isConnected) return
      if (frame === this.count) {
        this.#timer = 0
        return this.rest()
      }
      this.draw(frame++)
      this.#timer = setTimeout(next, Math.max(FRAME, 1400 / this.count))
    }
    this.#timer = setTimeout(next, wait)
  }
}

class Gallery {
  films = new Map()
  made = 0
  #ramps = {}

  constructor(root) {
    this.root = root
    this.view = new IntersectionObserver((entries) => entries.filter((e) => e.isIntersecting).forEach((e, i) => {
      this.view.unobserve(e.target)
      this.films.get(e.target.dataset.name)?.play(150 * i)
    }), { threshold: 0.6 })
  }

  update(data, open) {
    this.open = open
    this.words = data.words
    const theme = themeOf(this.root), said = JSON.stringify(data.cards)
    this.colours = data.colours[theme]
    this.#ramps = {}
    for (const [name, colour] of Object.entries(this.colours)) if (typeof colour === 'string') this.root.style.setProperty('--' + name, colour)
    if (this.said !== said) { this.said = said; this.#build(data) }
    else for (const film of this.films.values()) film.redraw()
  }

  ramp(map) { return (this.#ramps[map] ??= ramp(this.colours[map])) }

  #build({ cards, words }) {
    const had = new Map([...this.films].map(([name, film]) => [name, film.film]))
    this.films.clear()
    const list = make('ul')
    for (const { name, title, claim, kind, href } of cards) {
      const picture = make('div', { className: 'film coming', ariaHidden: 'true' })
      picture.dataset.name = name
      const link = make('a', { href: new URL(href, document.baseURI).href }, picture, make('span', { className: 'text' }, make('span', { className: 'kind', textContent: kind }), make('b', { textContent: title }), make('span', { className: 'claim', textContent: claim })))
      link.dataset.card = name
      const film = new Film(picture, this)
      this.films.set(name, film)
      link.addEventListener('click', (e) => { // within the app: the page stays; with a key held, the browser opens it elsewhere
        if (e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return
        e.preventDefault()
        this.open(name)
      })
      for (const event of ['pointerenter', 'focus']) link.addEventListener(event, () => film.play())
      list.append(make('li', {}, link))
      if (had.get(name)) film.show(had.get(name))
      this.view.observe(picture)
    }
    this.root.replaceChildren(make('h2', { textContent: words.title }), make('p', { textContent: words.lead }), list)
  }

  async fetch() {
    for (let wait = SOON; this.root.isConnected; wait = Math.min(1.6 * wait, ASK)) {
      try {
        const { films, made, left } = await (await fetch(new URL('films?known=' + this.made, document.baseURI))).json()
        for (const [name, film] of Object.entries(films)) this.films.get(name)?.show(film)
        this.made = made
        if (!left) return
      } catch { /* the server is gone for a moment: ask again */ }
      await new Promise((ok) => setTimeout(ok, wait))
    }
  }
}

const galleries = new WeakMap()

export default async function mount({ data, parentElement, setTriggerValue }) {
  await styled()
  const root = parentElement.querySelector('.gallery') ?? parentElement.appendChild(make('div', { className: 'gallery' }))
  const known = galleries.get(root), gallery = known ?? new Gallery(root)
  galleries.set(root, gallery)
  gallery.update(data, (name) => setTriggerValue('open', name))
  if (!known) gallery.fetch()
}
