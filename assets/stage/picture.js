// One picture: the server's figure, dressed for the pixels that it has here. Zoom, hover and hidden curves are the reader's.

import { Crosshair } from './crosshair.js'
import { apart, beside, sample } from './labels.js'
import { Take } from './take.js'
import { bare, counts, decades, fill, html, reals, spoken } from './text.js'

const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false }
const inside = (at, length) => at > -0.5 && at < length + 0.5
const pen = document.createElement('canvas').getContext('2d')

export class Picture {
  #zoom = null // {x: [a, b], y: [c, d]}, either may be missing
  #hidden = new Set()
  #kept = {}
  #elements = new Map()
  #revision = 0
  #held = null // where the pointer went down
  #over = null
  #spots = new Map() // labels that can be pressed -> their boxes in the plot
  #figure = null
  #ready = false
  ticks = {} // of both axes: [value, text]
  placed = new Map() // the words over it: text and place

  constructor(root, plotly, words, look, { zoom = null, hidden = [] } = {}) {
    Object.assign(this, { root, plotly, words, look })
    this.#zoom = zoom
    this.#hidden = new Set(hidden)
    this.title = root.querySelector('h2')
    this.answer = root.querySelector('p')
    this.plot = root.querySelector('.plot')
    this.graph = root.querySelector('.graph')
    this.over = root.querySelector('.words')
    this.whole = root.querySelector('.whole')
    this.whole.onclick = () => this.#unzoom()
    this.size = new ResizeObserver(([{ contentRect: { width, height } }]) => {
      if (width === this.width && height === this.height) return
      Object.assign(this, { width, height })
      this.draw()
    })
    this.size.observe(this.plot)
    // Plotly asks for the size at every drawing; each answer by the browser would lay the page out once more.
    Object.defineProperties(this.graph, { clientWidth: { get: () => this.width ?? 0 }, clientHeight: { get: () => this.height ?? 0 } })
    // While a rectangle is drawn the picture waits: a redraw would take the rectangle away from under the pointer.
    this.plot.addEventListener('pointerdown', (e) => { this.#held = { x: e.clientX, y: e.clientY } })
    this.release = (e) => {
      if (!this.#held) return
      const still = e.type === 'pointerup' && Math.hypot(e.clientX - this.#held.x, e.clientY - this.#held.y) < 4
      this.#held = null
      if (still) this.#label(e)?.click()
      setTimeout(() => this.draw())
    }
    // Labels let the pointer through, so that a drag may begin on them and a value can be read under them.
    this.plot.addEventListener('pointermove', (e) => {
      const over = this.#label(e)
      if (over === this.#over) return
      this.#over?.classList.remove('over')
      over?.classList.add('over')
      this.#over = over
    })
    addEventListener('pointerup', this.release)
    addEventListener('pointercancel', this.release)
    this.cross = new Crosshair(this)
    if (words.take) this.take = new Take(this)
  }

  get figure() { return this.#figure }

  /** What it shows, and what the reader has made of it. */
  copy() { return { figure: this.#figure, zoom: this.#zoom, hidden: [...this.#hidden] } }

  close() {
    this.take?.close()
    this.size.disconnect()
    this.cross.close()
    removeEventListener('pointerup', this.release)
    removeEventListener('pointercancel', this.release)
    this.plotly.purge(this.graph)
  }

  /** Show a figure; `news`: did its arrays change. */
  show(figure, news) {
    this.#figure = figure
    if (news) this.#revision++
    this.draw()
  }

  draw() {
    if (!this.#figure || this.#held) return
    const { meta } = this.#figure.layout, { fs } = this.look
    html(this.title, meta.question)
    html(this.answer, meta.answer)
    this.take?.named(meta.question)
    if (meta.lines) this.answer.style.setProperty('--lines', meta.lines)
    if (this.title.title !== (meta.about ?? '')) this.title.title = meta.about ?? ''
    const said = spoken(`${meta.question} ${meta.answer}. ${meta.alt ?? ''}`)
    if (this.graph.getAttribute('aria-label') !== said) { this.graph.setAttribute('aria-label', said); this.answer.title = spoken(meta.answer) }
    const { width, height } = this
    if (!(width >= 40 && height >= 40)) return
    const { l, r, t, b } = this.look.margin
    this.box = { w: width - l - r, h: height - t - b }
    const { data, layout } = this.#dress(width, height, fs)
    this.ranges = { x: layout.xaxis.range, y: layout.yaxis.range }
    this.plotly.react(this.graph, data, layout, CONFIG)
    if (!this.#ready) {
      this.#ready = true
      this.graph.on('plotly_relayout', (e) => this.#zoomed(e))
      this.graph.on('plotly_doubleclick', () => this.#unzoom())
    }
    this.#words(meta, fs)
    this.cross.update()
  }

  #dress(width, height, fs) {
    const { data, layout } = this.#figure, { meta } = layout, scale = fs / 13, touch = matchMedia('(pointer: coarse)').matches
    const gone = new Set(meta.labels.filter((a) => this.#hidden.has(a.key)).flatMap((a) => a.traces))
    const traces = data.map((trace, i) => {
      const own = { ...trace, visible: !gone.has(i) }
      if (trace.line) own.line = { ...trace.line, width: trace.line.width * scale }
      if (trace.marker) own.marker = { ...trace.marker, size: trace.marker.size * scale }
      if (trace.type === 'heatmap') own.showscale = false
      if (trace.mode === 'text') own.visible &&= this.#roomy(layout.xaxis.range, fs)
      return own
    })
    const axis = (name) => {
      const given = layout[name + 'axis'], own = this.#zoom?.[name], range = own ?? (meta.equal ? this.#equal(layout)[name] : given.range)
      const most = name === 'x' ? this.box.w / (fs * (range[1] > 9999 ? 4.6 : 3.2)) : this.box.h / (fs * 2.4)
      const kind = meta.ticks[name]
      const ticks = kind === 'names' ? {}
        : kind === 'log' && (own || name === 'x') ? decades(...range, most)
        : kind === 'real' ? (own ? reals(...range, Math.min(most, 6)) : {})
        : name === 'x' || own ? counts(...range, Math.min(most, 6), !own) : {}
      const { ticktext, ...lines } = { ...given, ...ticks }
      this.ticks[name] = lines.tickvals.map((value, i) => [value, ticktext[i]])
      return { ...lines, range: [...range], showticklabels: false, fixedrange: touch } // a word that stays is no work: see #ticks
    }
    return {
      data: traces,
      layout: {
        ...layout, meta: undefined, width, height, margin: this.look.margin, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
        font: { ...layout.font, family: this.look.family, size: fs }, xaxis: axis('x'), yaxis: axis('y'),
        hoverlabel: { ...layout.hoverlabel, font: { ...layout.hoverlabel.font, size: fs, family: this.look.family } },
        dragmode: touch ? false : 'zoom', datarevision: this.#revision, uirevision: 'stage',
      },
    }
  }

  /** Ranges with one unit for both axes, so that an angle is an angle: at least those given, longer where there is room. */
  #equal({ xaxis: { range: [x0, x1] }, yaxis: { range: [y0, y1] } }) {
    const { w, h } = this.box, unit = Math.max((x1 - x0) / w, (y1 - y0) / h)
    return { x: [x0, x0 + unit * w], y: [y0, y0 + unit * h] }
  }

  /** Is there room for a letter at every unit of the x axis? */
  #roomy(range, fs) {
    const [a, b] = this.#zoom?.x ?? range
    return this.box.w / (b - a) > 0.48 * fs
  }

  #zoomed(event) {
    const zoom = {}
    for (const name of ['x', 'y']) {
      const range = event[`${name}axis.range`] ?? [event[`${name}axis.range[0]`], event[`${name}axis.range[1]`]]
      if (range.every(Number.isFinite)) zoom[name] = [...range]
    }
    if (!zoom.x && !zoom.y) return
    this.#zoom = { ...this.#zoom, ...zoom }
    this.whole.hidden = false
    this.draw()
  }

  #unzoom() {
    this.#zoom = null
    this.whole.hidden = true
    this.draw()
  }

  /** The pressable label under the pointer. */
  #label({ clientX, clientY }) {
    const { left, top } = this.plot.getBoundingClientRect(), x = clientX - left, y = clientY - top
    for (const [key, s] of this.#spots) if (x >= s.x && x <= s.x + s.w && y >= s.y && y <= s.y + s.h) return this.#elements.get(key)
    return null
  }

  // --- the words over the picture, placed in pixels

  #words(meta, fs) {
    const { w, h } = this.box, { l, t, r } = this.look.margin, [x0, x1] = this.ranges.x, [y0, y1] = this.ranges.y
    const px = (x) => ((x - x0) / (x1 - x0)) * w, py = (y) => ((y - y0) / (y1 - y0)) * h
    const full = this.#figure.layout.xaxis.range[1], seen = new Set(), high = fs * 1.3
    const put = (key, text, x, y, style = {}) => {
      seen.add(key)
      this.placed.set(key, { text, x: l + x, y: t + h - y, dx: style.dx ?? 0, dy: style.dy ?? -50, color: style.color, box: style.box, most: style.most })
      this.#element(key, style.label, text, style.color)
      const element = this.#elements.get(key), place = `translate(${Math.round(l + x)}px, ${Math.round(t + h - y)}px) translate(${style.dx ?? 0}%, ${style.dy ?? -50}%)`
      if (style.label?.traces.length) this.#spots.set(key, { x: l + x, y: t + h - y - high / 2, w: this.#width(text, fs), h: high })
      element.classList.toggle('box', Boolean(style.box))
      if (element.style.transform !== place) element.style.transform = place
      const most = style.most ? `${Math.round(style.most)}px` : ''
      if (element.style.maxWidth !== most) { element.style.maxWidth = most; element.style.whiteSpace = most ? 'normal' : 'nowrap' }
    }
    const taken = []
    this.placed.clear()
    this.#spots.clear()
    for (const [i, n] of meta.notes.entries()) {
      const wide = this.#width(n.text, fs), x = n.x * w + (n.xanchor === 'right' ? -4 : 8), y = n.y * h
      if (n.xanchor === 'right' || x + wide < w + r) put('note' + i, n.text, x, y, { dx: n.xanchor === 'right' ? -100 : 0, dy: n.yanchor === 'top' ? 0 : -100, box: n.box })
      taken.push({ x: n.xanchor === 'right' ? x - wide : x, y: y - (n.yanchor === 'top' ? high / 2 : -high / 2), w: wide, h: high })
    }
    if (meta.y) { // both axes have names that are too long for their ends
      put('x', meta.x, w / 2, -fs * 2.5, { dx: -50 })
      put('yname', meta.y, 0, h + fs * 1.1)
    } else put('x', meta.x, w + fs * 1.6, -fs * 1.02, { color: undefined })
    this.#ticks(px, py, put, fs)
    this.#bar(meta.bar, put, fs)
    this.#direct(meta, { px, py, full, taken, put, fs, high, r })
    for (const [key, element] of this.#elements) if (!seen.has(key)) { element.remove(); this.#elements.delete(key) }
  }

  /** Plotly would take every number at an axis away and set it anew at each drawing. */
  #ticks(px, py, put, fs) {
    const { w, h } = this.box, crowded = Boolean(this.#figure.layout.meta.y) // an axis of given values may have more than there is room for
    let end = -Infinity
    this.ticks.x.forEach(([value, text], i) => {
      const x = px(value), wide = this.#width(text, fs)
      if (!inside(x, w) || (crowded && x - wide / 2 < end)) return
      end = x + wide / 2 + 0.4 * fs
      put('x' + i, text, x, -fs * 1.02, { dx: -50 })
    })
    let last = Infinity
    this.ticks.y.forEach(([value, text], i) => {
      const y = py(value)
      if (!inside(y, h) || Math.abs(y - last) < fs) return
      last = y
      put('y' + i, text, -fs * 0.5, y, { dx: -100 })
    })
  }

  #direct(meta, { px, py, full, taken, put, fs, high, r }) {
    const { w, h } = this.box, { data } = this.#figure, near = [], lines = new Map()
    const ends = taken.map((a) => ({ ...a, fixed: true }))
    const samples = (i) => { if (!lines.has(i)) lines.set(i, sample(data[i].x, data[i].y, px, py, w)); return lines.get(i) }
    for (const label of meta.labels) {
      const wide = this.#width(label.text, fs), style = { color: label.color, label, box: label.box }
      if (label.place === 'beside') near.push({ key: label.key, line: samples(label.traces[0]), width: wide, optional: label.key.startsWith('layer'), label })
      else if (label.place === 'corner') {
        const x = px(label.at[0]) + 7
        if (w - x > fs * 7 && x > 0) put(label.key, label.text, x, h - high * (label.row + 0.5), style)
      } else {
        const point = label.place === 'at' ? label.at : this.#end(data[label.traces[0]])
        if (!point) continue
        const pinned = label.place === 'at' && point[0] >= full, y = py(point[1])
        const x = pinned ? w : label.place === 'end' ? Math.min(px(Math.max(point[0], label.start)), w) : px(point[0])
        if (x < 0 || x > w + 1 || y < -2 || y > h + 2) continue
        const most = pinned ? r - 10 : 0, rows = most && wide > most ? Math.ceil((1.15 * wide) / most) : 1
        if (pinned) ends.push({ x: 0, w, y, h: 3, fixed: true }) // the line itself: no label stands on it
        const off = (label.gap ?? 0) + (label.traces.length || pinned ? 7 : fs * 0.75), out = !pinned && x + off + wide > w + r && x > off + wide
        ends.push({ key: label.key, label, x: out ? x - off - wide : x + off, y: y + (label.lean ?? 0) * fs * 0.8, w: rows > 1 ? most : wide, h: high * rows, most, fixed: label.place === 'at' && !label.loose, style })
      }
    }
    while (ends.reduce((sum, a) => sum + (a.most ? a.h : 0), 0) > h) { // more words than room: a spare one goes
      const spare = ends.findIndex((a) => a.most && a.label.spare)
      if (spare < 0) break
      ends.splice(spare, 1)
    }
    for (const a of apart(ends, h).filter((a) => a.key)) { put(a.key, a.label.text, a.x, a.y, { ...a.style, most: a.h > high ? a.most : 0 }); taken.push(a) }
    const shown = near.filter((a) => !this.#hidden.has(a.key)).map((a) => a.line)
    for (const { key, x, y } of beside(near.reverse(), shown, taken, this.box, high, this.#kept)) {
      const { label } = near.find((a) => a.key === key)
      put(key, label.text, x, y, { color: label.color, label })
    }
  }

  #end({ x, y }) {
    const [a, b] = this.ranges.x
    for (let i = x.length - 1; i >= 0; i--) if (y[i] === y[i] && x[i] <= b) return x[i] < a ? null : [x[i], y[i]]
    return null
  }

  #bar(bar, put, fs) {
    let strip = this.plot.querySelector('.bar')
    if (!bar) return strip?.remove()
    strip ??= this.plot.appendChild(Object.assign(document.createElement('div'), { className: 'bar' }))
    const { w, h } = this.box, { l, t } = this.look.margin, [low, high] = bar.range
    const stops = this.#figure.data[0].colorscale.map(([at, color]) => `${color} ${100 * at}%`).join(', ')
    const style = `left:${l + w + 8}px;top:${t}px;height:${h}px;background:linear-gradient(to top, ${stops})`
    if (strip.said !== style) strip.style.cssText = strip.said = style
    bar.ends?.forEach((text, k) => put('end' + k, text, w + 8, k ? h + fs * 0.85 : -fs * 1.02))
    if (bar.name) { // over the name of the y axis, where there is no room beside it
      const full = this.#width(bar.name, fs) + this.#width(this.#figure.layout.meta.y, fs) + fs > w + this.look.margin.r
      put('barname', bar.name, w + this.look.margin.r - 2, h + fs * (full || bar.ends ? 2.4 : 1.1), { dx: -100 })
    }
    bar.ticks.forEach(([value, text], i) => {
      const y = ((value - low) / (high - low)) * h
      put('tick' + i, text, w + 22, Math.min(Math.max(y, fs * 0.6), h - fs * 0.6))
    })
  }

  #width(text, fs) {
    pen.font = `${text.startsWith('<b>') ? 700 : 400} ${fs}px ${this.look.family}`
    return pen.measureText(bare(text)).width
  }

  #element(key, label, text, color) {
    let element = this.#elements.get(key)
    const hides = label?.traces.length > 0
    if (!element || (element.tagName === 'BUTTON') !== hides) {
      element?.remove()
      element = document.createElement(hides ? 'button' : 'span')
      if (hides) {
        element.type = 'button'
        element.onclick = () => { this.#hidden.has(key) ? this.#hidden.delete(key) : this.#hidden.add(key); this.draw() }
      }
      element.ariaHidden = /^[xy]\d/.test(key) ? 'true' : null // the numbers at the axes are no sentence
      this.over.append(element)
      this.#elements.set(key, element)
    }
    html(element, text)
    element.style.color = color ?? ''
    if (hides) {
      const name = fill(this.words.hide, { name: spoken(text) })
      if (element.title !== name) { element.title = name; element.setAttribute('aria-label', name) }
      element.setAttribute('aria-pressed', String(!this.#hidden.has(key)))
    }
  }
}
