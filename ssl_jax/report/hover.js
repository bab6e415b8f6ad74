// Shows the image of the point nearest to the mouse or the finger, and marks the same
// image in every panel. The data are in <script type="application/json"> of the figure.
for (const figure of document.querySelectorAll('figure[data-hover]')) {
  const data = JSON.parse(figure.querySelector('script').textContent);
  const frame = figure.querySelector('.hover');
  const card = frame.querySelector('.card');
  const picture = card.firstElementChild, text = card.lastElementChild;
  const scale = Math.max(1, Math.round(72 / Math.max(...data.size)));
  const [width, height] = data.size.map(side => side * scale);
  const rings = data.points.map(() => {
    const ring = document.createElement('i');
    frame.append(ring);
    return ring;
  });
  Object.assign(picture.style, {
    width: `${width}px`, height: `${height}px`,
    backgroundImage: `url(${data.sprite})`, backgroundSize: `${width * data.columns}px auto`});
  const boxes = () => data.panels[matchMedia('(max-width: 34rem)').matches ? 1 : 0];
  const place = (panel, i) => {
    const [left, top, wide, high] = boxes()[panel];
    return [left + wide * data.points[panel][2 * i] / 1000,
            top + high * data.points[panel][2 * i + 1] / 1000];
  };
  const show = (panel, i) => {
    rings.forEach((ring, p) => {
      const [x, y] = place(p, i);
      ring.style.left = `${100 * x}%`;
      ring.style.top = `${100 * y}%`;
    });
    picture.style.backgroundPosition =
      `${-width * (i % data.columns)}px ${-height * Math.floor(i / data.columns)}px`;
    text.textContent = data.texts[panel][i];
    const [x, y] = place(panel, i);
    card.style.left = `${100 * x}%`;
    card.style.top = `${100 * y}%`;
    card.style.transform =
      `translate(${x > .5 ? 'calc(-100% - 12px)' : '12px'}, ${y > .5 ? '-100%' : '0'})`;
    frame.classList.add('on');
  };
  const nearest = event => {
    const area = frame.getBoundingClientRect();
    const x = (event.clientX - area.left) / area.width;
    const y = (event.clientY - area.top) / area.height;
    const panel = boxes().findIndex(([left, top, wide, high]) =>
      x >= left && x <= left + wide && y >= top && y <= top + high);
    if (panel < 0) return frame.classList.remove('on');
    let best = Infinity, found = 0;
    for (let i = 0; i < data.texts[panel].length; i++) {
      const [px, py] = place(panel, i);
      const d = ((px - x) * area.width) ** 2 + ((py - y) * area.height) ** 2;
      if (d < best) [best, found] = [d, i];
    }
    show(panel, found);
  };
  frame.addEventListener('pointermove', nearest);
  frame.addEventListener('pointerdown', nearest);
  frame.addEventListener('pointerleave', () => frame.classList.remove('on'));
}
