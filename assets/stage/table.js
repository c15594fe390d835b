// Compared runs in words: a table under the verdict, a row for each, kept up to date in place.

import { bare, html } from './text.js'

const sample = (color, dash) => `<svg viewBox="0 0 34 10" aria-hidden="true"><line x1="1" x2="33" y1="5" y2="5" stroke="${color}" stroke-width="3.5" stroke-dasharray="${dash === "solid" ? "" : dash.replaceAll("px", "")}"/></svg>`
const badge = (profile) => `<svg viewBox="0 0 24 16" aria-hidden="true"><path d="${profile}"/></svg><b></b>`

/** Show {caption, heads, rows: [{name, color, dash, base, kind, badge, why, note, cells}]} under the verdict. */
export function tabulate(root, table, profiles) {
  let box = root.querySelector('.runs')
  if (!box) {
    box = Object.assign(document.createElement('section'), { className: 'runs', tabIndex: 0 })
    root.querySelector('.verdict').after(box)
  }
  const shape = JSON.stringify([table.heads, table.rows.map(({ name, color, dash }) => [name, color, dash])])
  if (box.shape !== shape) {
    box.shape = shape
    root.style.setProperty('--rows', table.rows.length)
    box.innerHTML = '<table><caption></caption><thead><tr></tr></thead><tbody></tbody></table>'
    for (const text of table.heads) html(box.querySelector('thead tr').appendChild(Object.assign(document.createElement('th'), { scope: 'col' })), text)
    for (const row of table.rows) {
      const line = box.querySelector('tbody').appendChild(document.createElement('tr'))
      line.innerHTML = '<th scope="row"><span class="sample"></span><span class="name"></span></th><td><span class="said"></span><small></small></td>' + '<td></td>'.repeat(row.cells.length)
      line.querySelector('.sample').innerHTML = sample(row.color, row.dash)
      html(line.querySelector('.name'), `<b>${row.name}</b>`)
    }
  }
  const caption = box.querySelector('caption')
  html(caption, table.caption)
  box.setAttribute('aria-label', table.caption)
  table.rows.forEach((row, i) => {
    const line = box.querySelectorAll('tbody tr')[i], said = line.querySelector('.said')
    if (said.kind !== row.kind) {
      said.kind = said.dataset.kind = row.kind
      said.innerHTML = badge(profiles[row.kind] ?? profiles.waiting)
    }
    said.querySelector('b').textContent = row.badge
    said.title = bare(row.why)
    html(line.querySelector('small'), row.note)
    row.cells.forEach((text, j) => html(line.children[j + 2], text))
  })
}
