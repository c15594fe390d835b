// Where direct labels stand, in pixels: beside a line where they cover nothing, or at its end, pushed apart.

const SAMPLE = 4 // px between the samples of a line
const COVERED = 20 // the cost of standing on another label: rather not at all
const TRIES = [0.01, 0.05, 0.09, 0.13, 0.17, 0.22, 0.27, 0.32, 0.38, 0.44, 0.5, 0.56, 0.62, 0.7, 0.78, 0.86]

/** A line as heights (px from the bottom) at every SAMPLE px from the left; NaN where it has a gap. */
export function sample(xs, ys, px, py, width) {
  const out = new Float32Array(Math.ceil(width / SAMPLE) + 1).fill(NaN)
  for (let i = 0; i < xs.length; i++) {
    const a = px(xs[i]), b = i + 1 < xs.length ? px(xs[i + 1]) : a, ya = py(ys[i]), yb = i + 1 < xs.length ? py(ys[i + 1]) : ya
    if (!(ya === ya)) continue
    const from = Math.max(0, Math.ceil(a / SAMPLE)), to = Math.min(out.length - 1, Math.floor(b / SAMPLE))
    if (yb === yb) for (let s = from; s <= to; s++) out[s] = b > a ? ya + ((yb - ya) * (s * SAMPLE - a)) / (b - a) : ya
    const s = Math.round(a / SAMPLE)
    if (s >= 0 && s < out.length) out[s] = ya // a point between two gaps still counts
  }
  return out
}

/**
 * One label a line, where it covers no line and no other label; `kept` remembers the choice as long as that stays so.
 * labels: {key, line (samples), width, optional}; returns [{key, x, y}] with y the middle, from the bottom.
 */
export function beside(labels, lines, taken, box, height, kept) {
  const boxes = [...taken], placed = []
  for (const { key, line, width, optional } of labels) {
    const at = ([share, side]) => {
      const from = Math.round((share * box.w) / SAMPLE), part = line.subarray(from, Math.ceil((from * SAMPLE + width) / SAMPLE) + 1).filter((y) => y === y)
      if (!part.length) return null
      const y = side > 0 ? Math.max(...part) : Math.min(...part)
      return { x: from * SAMPLE + 4, y: y + side * height * 0.82, w: width, h: height }
    }
    const cost = (b) => {
      if (!b || b.x + b.w > box.w || b.y - b.h / 2 < 0 || b.y + b.h / 2 > box.h) return 99
      let hits = 0
      for (const l of lines) for (let s = Math.floor(b.x / SAMPLE); s <= (b.x + b.w) / SAMPLE; s++) if (Math.abs(l[s] - b.y) < b.h / 2 + 2) hits++
      return hits + COVERED * boxes.filter((o) => b.x < o.x + o.w && o.x < b.x + b.w && Math.abs(b.y - o.y) < (b.h + o.h) / 2).length
    }
    let best = null, least = Infinity
    for (const choice of [kept[key], ...TRIES.flatMap((t) => [[t, 1], [t, -1]])]) {
      const b = choice && at(choice), c = choice ? cost(b) : Infinity
      if (c < least) { best = { choice, b }; least = c }
      if (!c) break
    }
    if (!best?.b || least >= COVERED || (optional && least > 0)) continue
    kept[key] = best.choice
    boxes.push(best.b)
    placed.push({ key, x: best.b.x, y: best.b.y })
  }
  return placed
}

/** Move labels {x, y, w, h, fixed} up and down until none covers another; y is the middle, from the bottom. */
export function apart(labels, height) {
  const inside = (a) => { if (!a.fixed) a.y = Math.min(Math.max(a.y, a.h / 2), height - a.h / 2) }
  for (const a of labels) a.wanted = a.y // their order, which the edges must not turn round
  labels.forEach(inside)
  for (let round = 0; round < 40; round++) {
    let moved = false
    for (let i = 0; i < labels.length; i++) for (let j = i + 1; j < labels.length; j++) {
      const [a, b] = labels[i].wanted <= labels[j].wanted ? [labels[i], labels[j]] : [labels[j], labels[i]]
      const over = (a.h + b.h) / 2 - (b.y - a.y)
      if (over <= 0.5 || a.x >= b.x + b.w + 4 || b.x >= a.x + a.w + 4 || (a.fixed && b.fixed)) continue
      if (!a.fixed) a.y -= b.fixed ? over : over / 2
      if (!b.fixed) b.y += a.fixed ? over : over / 2
      moved = true
    }
    labels.forEach(inside)
    if (!moved) break
  }
  const clash = (a, y) => labels.some((o) => o !== a && Math.abs(o.y - y) < (o.h + a.h) / 2 - 0.5 && o.x < a.x + a.w + 4 && a.x < o.x + o.w + 4)
  for (const a of labels) { // held between an edge and what does not move: over it, to the nearest place that is free
    if (a.fixed || !clash(a, a.y)) continue
    const spots = labels.flatMap((o) => (o === a ? [] : [o.y + (o.h + a.h) / 2, o.y - (o.h + a.h) / 2])).filter((y) => y >= a.h / 2 && y <= height - a.h / 2 && !clash(a, y))
    if (spots.length) a.y = spots.reduce((best, y) => (Math.abs(y - a.wanted) < Math.abs(best - a.wanted) ? y : best))
  }
  return labels
}
