"""What a browser can say of the access to a page: names, roles, ids, contrast. JavaScript for `page.evaluate`."""

# Every control that can be seen and has no name; every picture without words; every id that is there twice.
NAMES = """() => {
    const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest('[aria-hidden=true], [inert]')
    const controls = [...document.querySelectorAll('button, input, select, textarea, a[href], [role=slider], [role=button], [role=tab], summary')].filter(seen)
    const text = (id) => document.getElementById(id)?.textContent ?? ''
    const name = (e) => (e.getAttribute('aria-label') ?? '') + (e.getAttribute('aria-labelledby') ?? '').split(' ').map(text).join('') + [...(e.labels ?? [])].map((l) => l.textContent).join('') + (e.title ?? '') + (e.matches('button, a, summary, [role=button]') ? e.textContent : '')
    const where = (e) => e.outerHTML.slice(0, 150)
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id).filter(Boolean)
    return {
        nameless: controls.filter((e) => !name(e).trim()).map(where),
        wordless: [...document.querySelectorAll('[role=img], img')].filter((e) => seen(e) && !(e.getAttribute('aria-label') ?? e.getAttribute('alt') ?? '').trim()).map(where),
        doubled: ids.filter((id, i) => ids.indexOf(id) !== i),
        described: [...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].filter((e) => seen(e) && ((e.getAttribute('aria-labelledby') ?? '') + ' ' + (e.getAttribute('aria-describedby') ?? '')).trim().split(/\\s+/).some((id) => !document.getElementById(id))).map(where),
        controls: controls.length, lang: document.documentElement.lang, headings: document.querySelectorAll('h1').length,
    }
}"""  # noqa: E501

# Text that can be seen with less contrast against what lies under it than AA asks: [ratio, colour, paper, text].
# (A slider's value hangs in its thumb and stands above it; what is switched off needs no contrast.)
CONTRAST = """() => {
    const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true })
    const parse = (c) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = c; pen.fillRect(0, 0, 1, 1); const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255] }
    const over = ([r, g, b, a], u) => [r, g, b].map((c, i) => a * c + (1 - a) * u[i])
    const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0)
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) }
    const paper = (e) => { const layers = []; for (let n = e; n; n = n.parentElement) { const s = getComputedStyle(n), c = parse(s.backgroundColor); if (s.backgroundImage !== 'none') return null; if (c[3]) layers.push(c); if (c[3] === 1) break } return layers.reverse().reduce((u, c) => over(c, u), [255, 255, 255]) }
    const veil = (e) => { let o = 1; for (let n = e; n; n = n.parentElement) o *= +getComputedStyle(n).opacity; return o }
    const out = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walk.nextNode()) {
        const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim()
        if (!text || e.closest('script, style, svg, [aria-hidden=true], [inert], option') || e.closest('[disabled], [aria-disabled=true], [data-testid=stSliderThumbValue]') || !e.checkVisibility({ visibilityProperty: true })) continue
        const r = e.getBoundingClientRect(), s = getComputedStyle(e), under = paper(e)
        if (r.width < 2 || r.height < 2 || !under) continue
        const c = parse(s.color), o = veil(e); c[3] *= o
        const large = parseFloat(s.fontSize) >= 24 || (parseFloat(s.fontSize) >= 18.6 && +s.fontWeight >= 700), found = ratio(over(c, under), under)
        if (o > 0 && found < (large ? 3 : 4.5) - 0.05) out.push([Math.round(found * 100) / 100, s.color, under.map(Math.round).join(), text.slice(0, 40), e.closest('[class*=st-key]')?.className.match(/st-key-\\S+/)?.[0] ?? e.className])
    }
    return out
}"""  # noqa: E501

# What reaches out of the window to the right, where nothing scrolls.
CUT = """() => [...document.querySelectorAll('#root *')].filter((e) => {
    const r = e.getBoundingClientRect()
    if (!(r.width > 1 && r.height > 1 && r.right > innerWidth + 1) || !e.checkVisibility({ visibilityProperty: true })) return false
    for (let n = e.parentElement; n; n = n.parentElement) if (/auto|scroll|hidden|clip/.test(getComputedStyle(n).overflowX) && n.getBoundingClientRect().right <= innerWidth + 1) return false
    return true
}).map((e) => e.outerHTML.slice(0, 120))"""  # noqa: E501
