// The figure of a picture as one that stands on its own: with title, answer, names of lines and axes, and whose it is.
// The same code places its words as on the page: a second picture is dressed for this size, and its words are taken over.

import { wideNames } from './page.js'
import { Picture } from './picture.js'
import { bare } from './text.js'

const WIDTH = 900, SIZE = 15 // px, of the whole and of its type
const pen = document.createElement('canvas').getContext('2d')

/** {data, layout, zooms: how the ticks of each axis are made where a reader zooms in}. */
export function standing(picture) {
  const { figure, zoom, hidden, camera } = picture.copy(), { meta } = figure.layout, { root, look } = picture
  const css = getComputedStyle(root), colour = (name) => css.getPropertyValue(name).trim()
  const family = look.family, fs = SIZE, named = meta.y ? 1.5 * fs : 0 // room for the names of the axes
  const margin = { l: Math.max(Math.round(fs * 4), wideNames(figure, fs, family)), r: Math.round(fs * 6.2), t: Math.round(fs * 0.7 + named), b: Math.round(fs * 1.8 + named) }
  const shape = Math.min(0.75, Math.max(0.42, (picture.height || 3) / (picture.width || 5))), high = Math.round(WIDTH * shape)
  const made = figure.layout.scene ? { ...figure, layout: { ...figure.layout, scene: { ...figure.layout.scene, ...camera }, margin: { l: 0, r: 0, t: 0, b: 0 } }, annotations: legend(meta.labels, fs) }
    : dressed(figure, { fs, family, margin, width: WIDTH, height: high, zoom, hidden })
  const inner = made.layout.margin, about = foot(meta.source, picture.words, WIDTH, fs * 0.8, family)
  const paint = (text) => text.replace(/<b>(.*?)<\/b>/g, `<b><span style="color:${colour('--mean') || colour('--ink')}">$1</span></b>`).replace(/<\/?i>/g, '')
  const head = [...wrapped(`<b>${meta.question}</b>`, WIDTH - 28, fs * 1.3, family).map((text) => ({ text, size: fs * 1.3, color: colour('--ink') })),
    ...wrapped(meta.answer, WIDTH - 28, fs, family).map((text) => ({ text: paint(text), size: fs, color: colour('--soft') }))]
  const rows = head.map(({ size }) => size * 1.35), top = 12 + rows.reduce((a, b) => a + b, 0), bottom = about.length * fs * 1.15 + 10
  const write = ({ text, size, color }, y, anchor, from) => ({
    text, x: 0, xref: 'paper', xanchor: 'left', xshift: 14 - inner.l, y: from, yref: 'paper', yanchor: anchor, yshift: y, showarrow: false, align: 'left', font: { size, color, family },
  })
  let above = top - 12 + inner.t
  const titles = head.map((line, i) => { above -= rows[i]; return write(line, above, 'bottom', 1) })
  const feet = about.map((text, i) => write({ text, size: fs * 0.8, color: colour('--soft') }, -(inner.b + i * fs * 1.15), 'top', 0))
  const layout = {
    ...made.layout, meta: undefined, title: undefined, width: WIDTH, height: Math.round(high + top + bottom), paper_bgcolor: colour('--paper'), plot_bgcolor: colour('--paper'),
    margin: { ...inner, t: inner.t + top, b: inner.b + bottom, pad: 0 }, font: { ...made.layout.font, family, size: fs },
    annotations: [...made.annotations, ...titles, ...feet],
  }
  return { data: made.data, layout, question: bare(meta.question), zooms: meta.ticks ?? {} }
}

/** What the page's own code makes of the figure at this size; its words as annotations, which follow a zoom. */
function dressed(figure, { fs, family, margin, width, height, zoom, hidden }) {
  let taken = null
  const library = { react: (graph, data, layout) => { graph.on = () => {}; taken = { data, layout } }, purge: () => {} }
  const root = document.createElement('figure')
  root.innerHTML = '<h2></h2><p></p><button class="whole"></button><div class="plot"><div class="graph"></div><div class="words"></div></div>'
  const copy = new Picture(root, library, { hide: '' }, { fs, family, margin }, { zoom, hidden })
  Object.assign(copy, { width, height })
  copy.show(figure, true)
  const { ranges, ticks, placed, box } = copy, bar = figure.layout.meta.bar
  copy.close()
  const data = taken.data.map((trace) => ({ ...trace, hoverlabel: undefined }))
  const map = data.findIndex((trace) => trace.type === 'heatmap')
  if (bar && map >= 0) {
    data[map] = { ...data[map], showscale: true, colorbar: {
      thickness: 8, x: 1 + 8 / box.w, xpad: 0, ypad: 0, xanchor: 'left', len: 1, y: 0.5, outlinewidth: 0, ticks: '', ticklabeloverflow: 'allow',
      tickvals: bar.ticks.map(([value]) => value), ticktext: bar.ticks.map(([, text]) => text), tickfont: { size: fs, family },
    } }
  }
  const axis = (name) => ({
    ...taken.layout[name + 'axis'], showticklabels: true, tickmode: 'array', tickvals: ticks[name].map(([value]) => value), ticktext: ticks[name].map(([, text]) => text),
    tickfont: { ...taken.layout[name + 'axis'].tickfont, size: fs, family }, ticklabelstandoff: Math.round(0.3 * fs), fixedrange: false,
  })
  const annotations = [...placed].filter(([key]) => !/^([xy]\d+|tick\d+)$/.test(key)).map(([key, word]) => beside(word, { ranges, box, margin, fs, family, colour: key === 'x' ? figure.layout.font.color : word.color ?? figure.layout.font.color }))
  return { data, layout: { ...taken.layout, xaxis: axis('x'), yaxis: axis('y'), margin, dragmode: 'zoom', uirevision: undefined, datarevision: undefined }, annotations }
}

/** A placed word as an annotation: by data within the plot, so that it stays at its line; by pixels beside it. */
function beside({ text, x, y, dx, dy, most, box: boxed }, { ranges, box: { w, h }, margin, fs, family, colour }) {
  const px = x - margin.l, py = h - (y - margin.t), inside = px >= 0 && px <= w && py >= 0 && py <= h
  const value = ([a, b], share) => a + (b - a) * share
  return {
    text: most ? wrapped(text, most, fs, family).join('<br>') : text, showarrow: false, align: 'left', borderpad: 0, font: { size: fs, family, color: colour },
    xanchor: { 0: 'left', '-50': 'center', '-100': 'right' }[dx], yanchor: { 0: 'top', '-50': 'middle', '-100': 'bottom' }[dy],
    ...(inside ? { xref: 'x', x: value(ranges.x, px / w), yref: 'y', y: value(ranges.y, py / h) } : { xref: 'paper', x: px > w ? 1 : 0, xshift: px > w ? px - w : px, yref: 'paper', y: py < 0 ? 0 : 1, yshift: py < 0 ? py : py - h }),
    ...(boxed && { bgcolor: 'rgba(127,127,127,.12)' }),
  }
}

/** The names of lines in three dimensions, in the corner. */
const legend = (labels, fs) => labels.map(({ text, color }, i) => ({
  text, showarrow: false, font: { color, size: fs }, xref: 'paper', x: 0, xshift: 14, xanchor: 'left', yref: 'paper', y: 1, yshift: -i * fs * 1.35, yanchor: 'top',
}))

/** Whose picture it is: the experiment in words and its step, and the link. */
function foot(source, words, width, size, family) {
  if (!source) return []
  const step = source.step === null ? '' : ' · ' + words.take_step.replace('{n}', source.step)
  const link = new URL(location.href)
  link.search = source.link
  link.hash = ''
  return [source.said + step, link.href].flatMap((text) => wrapped(text.replace(/&/g, '&amp;').replace(/</g, '&lt;'), width - 28, size, family).slice(0, 2))
}

/** The lines of a text (with b, i, sub, sup in it) no wider than `most` px. */
export function wrapped(text, most, size, family) {
  pen.font = `${text.startsWith('<b>') ? 700 : 400} ${size}px ${family}`
  const lines = []
  for (const part of text.split('<br>')) {
    let line = ''
    for (const word of part.split(' ')) {
      const longer = line ? `${line} ${word}` : word
      if (line && pen.measureText(bare(longer)).width > most) { lines.push(line); line = word } else line = longer
    }
    lines.push(line)
  }
  return balanced(lines)
}

/** Tags that a line leaves open are closed there, and opened again in the next. */
function balanced(lines) {
  let open = []
  return lines.map((line) => {
    const before = open.map((tag) => `<${tag}>`).join('')
    for (const [, end, tag] of line.matchAll(/<(\/?)(\w+)>/g)) end ? open.splice(open.lastIndexOf(tag), 1) : open.push(tag)
    return before + line + [...open].reverse().map((tag) => `</${tag}>`).join('')
  })
}
