// The browser's twin of app/frames.py: a frame says only what changed since the last one.

const TYPES = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array,
  int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
}

/** The figures as the server means them, kept up to date frame by frame. */
export class Frames {
  figures = {}
  #arrays = new Map() // figure/trace/attr -> {shape, flat, view}

  /** Take one frame. Returns its head, and which figures changed: {id: true when arrays did, else false}. */
  apply(buffer) {
    const length = new DataView(buffer).getUint32(0, true)
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)))
    const base = 4 + length + ((8 - ((4 + length) % 8)) % 8)
    const changed = {}
    for (const [id, { full, patch = [] }] of Object.entries(head.figures)) {
      changed[id] = Boolean(full)
      if (full) {
        this.figures[id] = full
        for (const key of this.#arrays.keys()) if (key.startsWith(id + '/')) this.#arrays.delete(key)
      }
      for (const [path, value] of patch) {
        if (path[0] === 'data') changed[id] = true
        const last = path.pop()
        path.reduce((node, step) => node[step], this.figures[id])[last] = value
      }
    }
    for (const a of head.arrays) {
      changed[a.figure] = true
      const path = a.attr.split('.'), last = path.pop()
      const holder = path.reduce((node, step) => node[step], this.figures[a.figure].data[a.trace])
      holder[last] = this.#array(`${a.figure}/${a.trace}/${a.attr}`, a, buffer, base)
    }
    return { head, changed }
  }

  #array(key, { dtype, shape, at, size, repeat, offset }, buffer, base) {
    const Type = TYPES[dtype], [rows, columns] = shape.length === 2 ? shape : [1, shape[0]]
    const box = new Type(buffer, base + offset, size.reduce((a, b) => a * b, 1))
    if (repeat) { // one plain row stands for all: Plotly looks into rows of custom data only when they are plain
      this.#arrays.delete(key)
      return Array(rows).fill(Array.from(box))
    }
    let held = at && this.#arrays.get(key)
    if (!held || String(held.shape) !== String(shape)) {
      const flat = new Type(rows * columns), old = held
      if (old) {
        const [n, m] = old.shape.length === 2 ? old.shape : [1, old.shape[0]]
        for (let i = 0; i < n; i++) flat.set(old.flat.subarray(i * m, (i + 1) * m), i * columns)
      }
      const view = shape.length === 1 ? flat : Array.from({ length: rows }, (_, i) => flat.subarray(i * columns, (i + 1) * columns))
      this.#arrays.set(key, (held = { shape, flat, view }))
    }
    const [top, left] = !at ? [0, 0] : at.length === 2 ? at : [0, at[0]]
    const [high, wide] = size.length === 2 ? size : [1, size[0]]
    for (let i = 0; i < high; i++) held.flat.set(box.subarray(i * wide, (i + 1) * wide), (top + i) * columns + left)
    return held.view
  }
}

/** A frame from base64, as the page carries one where no socket opens. */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer
