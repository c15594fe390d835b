// Words and numbers: filling in placeholders, the few tags that server texts may hold, and ticks made in the browser.

/** "step {n}" with n filled in. */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)

const TAGS = new Set(['B', 'I', 'SUB', 'SUP', 'BR'])

/** Put text with b, i, sub, sup and br (and nothing else, no attributes) into an element; nothing happens when it is there. */
export function html(element, text = '') {
  if (element.said === text) return
  element.said = text
  const copy = (from, to) => {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) to.append(node.data)
      else if (node.nodeType === Node.ELEMENT_NODE) {
        const here = TAGS.has(node.tagName) ? to.appendChild(document.createElement(node.tagName)) : to
        copy(node, here)
      }
    }
  }
  const parts = document.createDocumentFragment()
  copy(new DOMParser().parseFromString(text, 'text/html').body, parts) // parsed apart: nothing in it runs or loads
  element.replaceChildren(parts)
}

export const bare = (text) => text.replace(/<br>/g, ' ').replace(/<[^>]*>/g, '').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&')

/** A text with tags as it may be read aloud, and as a tooltip shows it: a power keeps its sign. */
export const spoken = (text) => bare(text.replace(/<sup>/g, '^'))

const minus = (x) => String(x).replace('-', '−')
const plain = (x) => minus(Number(x.toPrecision(6)))
const nice = (x) => { const size = 10 ** Math.floor(Math.log10(x)); return [1, 2, 5, 10].find((n) => n * size >= x * 0.999) * size }

/** Round ticks between two ends; whole numbers, and both ends when they are whole and `ends` asks for them. */
export function counts(low, high, most, ends) {
  const [a, b] = low < high ? [low, high] : [high, low], step = Math.max(1, nice((b - a) / Math.max(1, most)))
  const first = Math.ceil(a), last = Math.floor(b), ticks = []
  for (let n = Math.ceil(a / step) * step; n <= b; n += step) ticks.push(n)
  const inside = ends ? ticks.filter((n) => n > first && n - first > 0.6 * step - 1 && last - n > 0.6 * step) : ticks
  const values = ends ? [...new Set([first, ...inside, last])] : inside
  return { tickvals: values, ticktext: values.map(plain) }
}

/** Round ticks of a real axis that the reader zoomed into. */
export function reals(low, high, most) {
  const step = nice((high - low) / Math.max(1, most)), values = []
  for (let n = Math.ceil(low / step); n * step <= high; n++) values.push(n * step)
  return { tickvals: values, ticktext: values.map(plain) }
}

/** Ticks of a log axis that the reader zoomed into (data are log10): decades, then 1 2 5, then powers with decimals. */
export function decades(low, high, most) {
  const power = (e) => `10<sup>${minus(Number(e.toFixed(2)))}</sup>`, name = (e) => (Math.abs(e) < 3 ? plain(10 ** e) : power(e))
  if (high - low >= 2) {
    const step = Math.max(1, Math.ceil((high - low) / most)), values = []
    for (let e = Math.ceil(low / step) * step; e <= high; e += step) values.push(e)
    return { tickvals: values, ticktext: values.map(name) }
  }
  if (Math.abs(low) < 3 && Math.abs(high) < 3) {
    const values = []
    for (let e = Math.floor(low); e <= high; e++) for (const n of [1, 2, 5]) values.push(e + Math.log10(n))
    const inside = values.filter((v) => v >= low && v <= high)
    if (inside.length > 1) return { tickvals: inside, ticktext: inside.map((v) => plain(Number((10 ** v).toPrecision(1)))) }
  }
  const step = nice((high - low) / most), values = []
  for (let n = Math.ceil(low / step); n * step <= high; n++) values.push(n * step)
  return { tickvals: values, ticktext: values.map(power) }
}
