// What everything that draws pictures on a page needs: the library, the style sheet, the theme and the size of type.

const arrays = (part, path) => Object.entries(part).flatMap(([key, value]) => (
  Array.isArray(value) || ArrayBuffer.isView(value) ? path + key : value && typeof value === 'object' ? arrays(value, `${path}${key}.`) : []))

/** For its hover texts Plotly seeks the arrays of every trace, at every drawing, in all that a trace can have: a sixth of its time. */
function remember(library) {
  const schema = library.PlotSchema, find = schema?.findArrayAttributes, found = new Map()
  if (find) schema.findArrayAttributes = (trace) => {
    const kind = [trace.type, ...arrays(trace._input, '')].join()
    if (!found.has(kind)) found.set(kind, find(trace))
    return found.get(kind)
  }
  return library
}

let loading = null
/** Plotly, loaded once. */
export const plotly = () => (loading ??= window.Plotly ? Promise.resolve(remember(window.Plotly)) : new Promise((ok, no) => {
  const script = Object.assign(document.createElement('script'), { src: new URL('plotly/plotly.min.js', document.baseURI).href })
  script.onload = () => ok(remember(window.Plotly))
  script.onerror = () => { loading = null; no(new Error('plotly')) }
  document.head.append(script)
}))

const sheets = new Map() // href -> when it is there: whoever asks meanwhile waits no shorter, so that what came last is drawn last
/** A style sheet, loaded once. */
export function styled(name = 'stage.css') {
  const href = new URL(name + new URL(import.meta.url).search, import.meta.url).href
  if (!sheets.has(href)) {
    sheets.set(href, new Promise((ok) => {
      if ([...document.styleSheets].some((s) => s.href === href)) return ok()
      document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href, onload: ok, onerror: ok }))
    }))
  }
  return sheets.get(href)
}

const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true })

/** "dark" or "light": what the page is painted in, whoever chose it. */
export function themeOf(root) {
  const paper = getComputedStyle(root).getPropertyValue('--st-background-color').trim() || getComputedStyle(document.body).backgroundColor
  pen.fillStyle = '#fff'
  pen.fillStyle = paper
  pen.fillRect(0, 0, 1, 1)
  const [r, g, b] = pen.getImageData(0, 0, 1, 1).data
  return r + g + b < 384 ? 'dark' : 'light'
}

/** Pixels that the names at the y axis take; 0 where it has numbers. */
export function wideNames({ layout: { meta, yaxis } }, fs, family) {
  if (meta.ticks?.y !== 'names') return 0
  pen.font = `400 ${fs}px ${family}`
  return Math.ceil(Math.max(...yaxis.ticktext.map((text) => pen.measureText(text.replace(/<[^>]*>/g, '')).width)) + fs)
}

/** Size and family of a paragraph's type, and the margins of a picture that go with it. */
export function lookOf(paragraph) {
  const css = getComputedStyle(paragraph), fs = parseFloat(css.fontSize)
  const margin = { l: Math.round(fs * 4), r: Math.round(fs * 6.2), t: Math.round(fs * 0.7), b: Math.round(fs * 1.8) }
  return { fs, margin, family: css.fontFamily }
}
