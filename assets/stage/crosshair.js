// A timestep (or training step) that is pointed at in one picture is marked in every other along the same axis, with the
// value there. A figure says in layout.meta.axis which axis it lies along ("t", "step"; null: none of them); meta.columns,
// [[x, t], …], where its x is not t itself. Only a line, a dot and a label are moved: no picture is drawn anew.

import { html } from './text.js'

const crosses = new Set()
let now = null // {axis, value, from}
let due = 0

const minus = (x) => String(x).replace('-', '−')
const plain = (x) => minus(Number(x.toPrecision(3)))
const power = (e) => (Math.abs(e) < 3 ? plain(10 ** e) : `10<sup>${minus(e.toFixed(2))}</sup>`)

function point(next) {
  if (next?.axis === now?.axis && next?.value === now?.value && next?.from === now?.from) return
  now = next
  due ||= requestAnimationFrame(() => {
    due = 0
    for (const cross of crosses) cross.update()
  })
}

export class Crosshair {
  #shown = false

  constructor(picture) {
    this.picture = picture
    const { plot, graph } = picture
    this.move = (e) => { if (e.pointerType !== 'touch') this.#at(e.clientX - plot.getBoundingClientRect().left) }
    this.leave = () => { if (now?.from === this) point(null) }
    this.key = (e) => this.#key(e)
    plot.addEventListener('pointermove', this.move)
    plot.addEventListener('pointerleave', this.leave)
    graph.addEventListener('keydown', this.key)
    graph.addEventListener('blur', this.leave)
    crosses.add(this)
  }

  close() {
    crosses.delete(this)
    this.leave()
  }

  get #meta() { return this.picture.figure?.layout.meta ?? {} }

  /** Mark here what is pointed at; after each drawing of the picture, too. */
  update() {
    const { axis, columns } = this.#meta, { graph } = this.picture
    const stop = axis ? 0 : -1
    if (graph.tabIndex !== stop) graph.tabIndex = stop
    if (!now || now.axis !== axis || !this.picture.box) return this.#hide()
    const x = columns ? columns.find(([, t]) => t === now.value)?.[0] : now.value
    const { ranges: { x: [x0, x1], y: [y0, y1] }, box: { w, h }, look: { margin: { l, t } } } = this.picture
    const px = ((x - x0) / (x1 - x0)) * w
    if (!(px >= -1 && px <= w + 1)) return this.#hide()
    this.#begin()
    const found = this.#value(x), y = found && Math.min(Math.max(((found.y - y0) / (y1 - y0)) * h, 0), h)
    this.root.hidden = false
    this.root.style.transform = `translate(${Math.round(l + px)}px, ${t}px)`
    this.line.style.height = h + 'px'
    this.dot.hidden = !found
    if (found) {
      this.dot.style.transform = `translateY(${Math.round(h - y)}px)`
      this.dot.style.borderColor = found.color
    }
    html(this.label, `${this.#meta.x} = ${minus(now.value)}${found ? `: <b>${found.text}</b>` : ''}`)
    this.label.classList.toggle('left', px > w / 2)
    this.label.hidden = now.from === this && !this.keyed // here Plotly's own label tells the value
    this.#shown = true
  }

  #hide() {
    if (this.#shown) this.root.hidden = true
    this.#shown = false
  }

  #begin() {
    if (this.root?.isConnected) return
    const make = (name) => Object.assign(document.createElement('i'), { className: name })
    this.root = make('cross')
    this.line = this.root.appendChild(make('line'))
    this.dot = this.root.appendChild(make('dot'))
    this.label = this.root.appendChild(make('said'))
    this.root.setAttribute('aria-hidden', 'true')
    this.picture.plot.append(this.root)
  }

  /** Of the widest curve that tells its values: the point nearest to x. */
  #value(x) {
    const { figure: { data, layout } } = this.picture
    let best = null
    for (const trace of data) if (trace.mode?.includes('lines') && trace.hoverinfo !== 'skip' && !(trace.line.width <= best?.line.width)) best = trace
    if (!best?.x?.length) return null
    let low = 0, high = best.x.length - 1
    while (high - low > 1) { const middle = (low + high) >> 1; if (best.x[middle] > x) high = middle; else low = middle }
    const i = Math.abs(best.x[low] - x) <= Math.abs(best.x[high] - x) ? low : high
    const y = best.y[i]
    if (Math.abs(best.x[i] - x) > Math.max(1, (best.x.at(-1) - best.x[0]) / 50)) return null // it does not reach that far
    return y === y && y !== null ? { y, color: best.line.color, text: layout.meta.ticks?.y === 'log' ? power(y) : plain(y) } : null
  }

  #at(pixel) {
    const { axis, columns } = this.#meta, { box, ranges, look } = this.picture
    const share = box ? (pixel - look.margin.l) / box.w : NaN
    if (!axis || !(share >= 0 && share <= 1)) return this.leave()
    const x = ranges.x[0] + share * (ranges.x[1] - ranges.x[0])
    this.keyed = false
    point({ axis, value: columns ? nearest(columns, x)[1] : Math.round(x), from: this })
  }

  /** With the focus on a picture the arrows move the mark. */
  #key(e) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key], { axis, columns } = this.#meta
    if (e.key === 'Escape') return this.leave()
    if (!by || !axis || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    e.stopPropagation()
    this.keyed = true
    const [low, high] = this.picture.ranges.x, places = columns?.map(([, t]) => t)
    const from = now?.axis === axis ? now.value : places?.at(-1) ?? Math.floor(by < 0 ? high + 1 : low)
    if (places) return point({ axis, value: places[Math.min(Math.max(places.indexOf(from) + by, 0), places.length - 1)], from: this })
    point({ axis, value: Math.min(Math.max(from + by, Math.ceil(low)), Math.floor(high)), from: this })
  }
}

const nearest = (columns, x) => columns.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a))
