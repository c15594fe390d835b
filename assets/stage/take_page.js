// A figure as one page that needs nothing else: Plotly's whole library is in it, and no address of any server.

const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value)
const safe = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')

/** Ticks of an axis are those of the whole picture; where the reader zooms in, Plotly makes finer ones. */
const FINER = `
const graph = document.getElementById('figure'), names = ['xaxis', 'yaxis'].filter((name) => figure.layout[name])
const whole = Object.fromEntries(names.map((name) => [name, { range: [...figure.layout[name].range], vals: figure.layout[name].tickvals, text: figure.layout[name].ticktext }]))
const plot = Plotly.newPlot(graph, figure.data, figure.layout, { responsive: true, displaylogo: false, doubleClick: 'reset' })
plot.then(() => graph.on('plotly_relayout', (event) => {
  const change = {}
  for (const name of names) {
    if (!Object.keys(event).some((key) => key.startsWith(name + '.range') || key === name + '.autorange') || zooms[name[0]] === 'names') continue
    const near = graph.layout[name].range.every((value, i) => Math.abs(value - whole[name].range[i]) < 1e-9), power = zooms[name[0]] === 'log'
    Object.assign(change, { [name + '.tickmode']: near ? 'array' : 'auto', [name + '.tickprefix']: near || !power ? '' : '10<sup>', [name + '.ticksuffix']: near || !power ? '' : '</sup>' })
  }
  if (Object.keys(change).length) Plotly.relayout(graph, change)
}))`

export async function page({ data, layout, question, zooms }) {
  const library = await (await fetch(new URL('plotly/plotly.min.js', document.baseURI))).text()
  const { width, ...rest } = layout, figure = JSON.stringify({ data, layout: { ...rest, autosize: true } }, plain).replace(/</g, '\\u003c')
  return `<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${safe(question)}</title>
<style>body { margin: 0; background: ${safe(layout.paper_bgcolor)} } #figure { max-width: 1200px; margin: 0 auto }</style></head>
<body><div id="figure"></div>
<script>${library.replace(/<\/script/gi, '<\\/script')}</script>
<script>const zooms = ${JSON.stringify(zooms)}, figure = ${figure}
${FINER}</script></body></html>
`
}
