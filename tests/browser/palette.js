async (whole) => {
  const image = new Image();
  image.src = `data:image/png;base64,${whole}`;
  await image.decode();
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);

  const counted = new Map();
  for (const pixel of pixels) counted.set(pixel, (counted.get(pixel) ?? 0) + 1);
  const parts = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  // The most frequent are kept as they are; near ones of a kept colour are not kept beside it.
  const kept = [];
  for (const [pixel] of [...counted].sort((one, other) => other[1] - one[1])) {
    if (kept.length === 64) break;
    const [r, g, b] = parts(pixel);
    const isNear = kept.length > 16 && kept.some(([R, G, B]) => Math.abs(R - r) + Math.abs(G - g) + Math.abs(B - b) < 40);
    if (!isNear) kept.push([r, g, b]);
  }
  const nearest = new Map();
  for (const pixel of counted.keys()) {
    const [r, g, b] = parts(pixel);
    let best = 0, distance = Infinity;
    kept.forEach(([R, G, B], at) => {
      const found = (R - r) ** 2 + (G - g) ** 2 + (B - b) ** 2;
      if (found < distance) { best = at; distance = found; }
    });
    nearest.set(pixel, best);
  }
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + 1 + x] = nearest.get(pixels[y * width + x]);
  }
  const packed = new Uint8Array(await new Response(
    new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());

  const crcs = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  const crc = (bytes) => bytes.reduce((sum, byte) => crcs[(sum ^ byte) & 255] ^ (sum >>> 8), 0xffffffff) ^ 0xffffffff;
  const chunk = (name, body) => {
    const bytes = new Uint8Array(12 + body.length), view = new DataView(bytes.buffer);
    view.setUint32(0, body.length);
    bytes.set([...name].map((letter) => letter.charCodeAt(0)), 4);
    bytes.set(body, 8);
    view.setUint32(8 + body.length, crc(bytes.subarray(4, 8 + body.length)) >>> 0);
    return bytes;
  };
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, 3, 0, 0, 0], 8); // 8 bits, indexed
  const file = new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head),
    chunk("PLTE", new Uint8Array(kept.flat())), chunk("IDAT", packed), chunk("IEND", new Uint8Array())]);
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}
