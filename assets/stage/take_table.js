// The data of a figure as a table: a row a point, with named quantities; whose it is stands above, after number signs.

import { bare } from './text.js'

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text)

/** A name without markup and without the sign that its points have: W_hh. */
const nameOf = (text) => bare(text.replace(/<sub>/g, '_')).replace(/^[^\p{L}\p{N}‖|∂%]+ /u, '')

/** A number with all digits that it has; of a float32 those that tell it from its neighbours. */
function digits(value, single) {
  if (value === null || value === undefined || Number.isNaN(value)) return ''
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (!single) return String(value)
  for (const most of [6, 7, 8]) {
    const short = Number(value.toPrecision(most))
    if (Math.fround(short) === value) return String(short)
  }
  return String(value)
}

const cells = (array) => {
  const single = array instanceof Float32Array
  return Array.from(array, (value) => (typeof value === 'string' ? value : digits(value, single)))
}

export function table(figure) {
  const { data, layout } = figure, { meta } = layout, { source } = meta
  const named = (name) => (meta.ticks?.[name] === 'names' ? new Map(layout[name + 'axis'].tickvals.map((value, i) => [String(value), nameOf(layout[name + 'axis'].ticktext[i])])) : null)
  const names = { x: named('x'), y: named('y') }, say = (name, text) => names[name]?.get(text) ?? text
  const maps = data.some((trace) => trace.z), errors = data.some((trace) => trace.error_y?.array)
  const log = (name) => (meta.ticks?.[name] === 'log' ? 'log10 ' : '')
  const head = ['curve', log('x') + nameOf(meta.x || 'x'), source?.y || log('y') + 'y', ...(maps ? [source?.value || 'value'] : []), ...(errors ? ['standard error'] : [])]
  const rows = data.flatMap((trace, i) => {
    const label = meta.labels.find((one) => one.traces?.includes(i)), several = label?.traces.length > 1 ? ` (${label.traces.indexOf(i) + 1})` : ''
    const curve = nameOf(trace.name ?? label?.text ?? `curve ${i + 1}`) + (trace.name ? '' : several)
    return points(trace).map(([x, y, z, error]) => [curve, say('x', x), say('y', y), ...(maps ? [z] : []), ...(errors ? [error] : [])])
  })
  const about = [bare(meta.question), bare(meta.answer), ...(source ? [`experiment: ${source.experiment}`, ...(source.step === null ? [] : [`step: ${source.step}`])] : [])]
  return [...about.map((line) => '# ' + line.replace(/\s+/g, ' ')), ...[head, ...rows].map((row) => row.map(quoted).join(','))].join('\n') + '\n'
}

/** The points of a trace: [x, y, z, error], as text. */
function points(trace) {
  if (!trace.z || trace.type === 'scatter3d') {
    const x = cells(trace.x ?? []), y = cells(trace.y ?? []), z = cells(trace.z ?? []), error = cells(trace.error_y?.array ?? [])
    return x.map((at, i) => [at, y[i] ?? '', z[i] ?? '', error[i] ?? ''])
  }
  const place = (name, i) => (trace[name] ? cells(trace[name])[i] : digits(Number(((trace[name + '0'] ?? 0) + i * (trace['d' + name] ?? 1)).toPrecision(12)), false))
  const width = trace.z[0]?.length ?? 0, xs = Array.from({ length: width }, (_, i) => place('x', i))
  return Array.from(trace.z).flatMap((row, i) => {
    const y = place('y', i)
    return cells(row).map((z, k) => [xs[k], y, z, ''])
  })
}
