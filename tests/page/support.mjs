// What the tests of the page share: pictures made and read without any library, the page put together as the exporter
// does it, a site on disk, a little server, and a browser tab that objects to everything which should not happen.

import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const PAGE_DIR = process.env.PAGE_DIR || path.join(here, '..', '..', 'pix2pix-cli', 'page');
export const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';

// ---- PNG -------------------------------------------------------------------------------------------------------------

const CRC = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c >>> 0;
});

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const crc = body.reduce((sum, byte) => CRC[(sum ^ byte) & 255] ^ (sum >>> 8), 0xffffffff) ^ 0xffffffff;
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc >>> 0, body.length + 4);
  return out;
}

/** An RGB picture of which `colorAt(x, y)` tells each pixel. */
export function encodePng(width, height, colorAt) {
  const rows = Buffer.alloc(height * (width * 3 + 1));
  for (let y = 0, at = 0; y < height; y += 1) {
    at += 1;
    for (let x = 0; x < width; x += 1, at += 3) rows.set(colorAt(x, y), at);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', deflateSync(rows, { level: 1 })), chunk('IEND', Buffer.alloc(0))]);
}

const paeth = (a, b, c) => {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
};

/** Reads what the browser's screenshots are: 8 bits, RGB or RGBA, not interlaced. */
export function decodePng(file) {
  const [width, height, channels] = [file.readUInt32BE(16), file.readUInt32BE(20), file[25] === 6 ? 4 : 3];
  const parts = [];
  for (let at = 8; at < file.length; at += file.readUInt32BE(at) + 12) {
    if (file.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const stride = width * channels;
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const kind = raw[y * (stride + 1)];
    for (let i = 0; i < stride; i += 1) {
      const left = i >= channels ? pixels[y * stride + i - channels] : 0;
      const up = y > 0 ? pixels[(y - 1) * stride + i] : 0;
      const corner = i >= channels && y > 0 ? pixels[(y - 1) * stride + i - channels] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][kind];
      pixels[y * stride + i] = raw[y * (stride + 1) + 1 + i] + guess;
    }
  }
  const at = (x, y) => [...pixels.subarray(y * stride + x * channels, y * stride + x * channels + 3)];
  return { width, height, at };
}

// ---- tiles that can be told apart ------------------------------------------------------------------------------------

const FONT = [
  [7, 5, 5, 5, 7], [2, 6, 2, 2, 7], [7, 1, 7, 4, 7], [7, 1, 7, 1, 7], [5, 5, 7, 1, 1],
  [7, 4, 7, 1, 7], [7, 4, 7, 5, 7], [7, 1, 1, 1, 1], [7, 5, 7, 5, 7], [7, 5, 7, 1, 7],
];

/** Whether a pixel belongs to the tile's number, which stands in its middle in strokes of 6 px. */
function inNumber(text, size, x, y) {
  const [column, row] = [Math.floor((x - size / 2) / 6 + text.length * 2), Math.floor((y - size / 2) / 6 + 2.5)];
  const digit = Math.floor(column / 4);
  if (row < 0 || row > 4 || digit < 0 || digit >= text.length || column % 4 === 3) return false;
  return (FONT[Number(text[digit])][row] >> (2 - (column % 4))) & 1;
}

/** The colour of a pixel of a tile: red tells the layer, green the column, blue the row; a checker and a number on top. */
export function tileColor(layer, z, x, y, size, px, py) {
  if (inNumber(`${z % 10}${x % 10}${y % 10}`, size, px, py)) return layer === 'map' ? [0, 0, 0] : [255, 255, 255];
  const shade = (Math.floor(px / 32) + Math.floor(py / 32)) % 2 ? 0 : 14;
  return [(layer === 'map' ? 30 : 200) + shade, 60 + (x % 4) * 45 + shade, 60 + (y % 4) * 45 + shade];
}

export const tilePng = (layer, z, x, y, size) => encodePng(size, size, (px, py) => tileColor(layer, z, x, y, size, px, py));

/** The world of the tests: 2 x 2 tiles of zoom 12. */
export const WORLD = { zoom: 12, left: 2130, top: 1440, columns: 2, rows: 2 };

const longitude = (x, zoom) => (x / 2 ** zoom) * 360 - 180;
const latitude = (y, zoom) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * y) / 2 ** zoom))) * 180) / Math.PI;
export const BOUNDS = [
  longitude(WORLD.left, 12), latitude(WORLD.top + WORLD.rows, 12), longitude(WORLD.left + WORLD.columns, 12), latitude(WORLD.top, 12),
];

/** Every tile of a layer, by its path; `size` 512 has one zoom less for the same ground. */
function layerTiles(layer, { minzoom, maxzoom, size = 256, scheme = 'xyz' }) {
  const tiles = new Map();
  for (let z = minzoom; z <= maxzoom; z += 1) {
    const scale = (2 ** (z - WORLD.zoom) * size) / 256;
    const [x0, y0] = [Math.floor(WORLD.left * 2 ** (z - WORLD.zoom)), Math.floor(WORLD.top * 2 ** (z - WORLD.zoom))];
    const count = Math.max(1, Math.ceil((WORLD.columns * scale * 256) / size));
    for (let x = x0; x < x0 + count; x += 1) {
      for (let y = y0; y < y0 + count; y += 1) {
        const row = scheme === 'tms' ? 2 ** z - 1 - y : y;
        tiles.set(`${layer}/${z}/${x}/${row}.png`, () => tilePng(layer, z, x, y, size));
      }
    }
  }
  return tiles;
}

// ---- the page and its site -------------------------------------------------------------------------------------------

export const PLACEHOLDER = /\/\*\{\{([a-z.]+)\}\}\*\/|\{\{(config)\}\}/g;

/** Puts the page together as the exporter does: one pass, so that nothing inside a part is taken for a placeholder. */
export async function assemble(config) {
  const names = { 'leaflet.css': 'leaflet/leaflet.css', 'leaflet.js': 'leaflet/leaflet.js' };
  const read = (name) => readFile(path.join(PAGE_DIR, names[name] || name), 'utf8');
  const template = await read('index.html');
  const parts = new Map();
  for (const [, name] of template.matchAll(PLACEHOLDER)) if (name) parts.set(name, await read(name));
  const json = (typeof config === 'string' ? config : JSON.stringify(config)).replaceAll('<', '\\u003c');
  return template.replace(PLACEHOLDER, (_, name) => (name ? parts.get(name) : json));
}

export const mapTiles = (more = {}) => ({
  tiles: 'map/{z}/{x}/{y}.png', scheme: 'xyz', minzoom: 12, maxzoom: 14, tile_size: 256, bounds: BOUNDS, attribution: 'Made by a <test>', ...more,
});
export const sourceTiles = (more = {}) => ({ ...mapTiles(), tiles: 'source/{z}/{x}/{y}.png', minzoom: 13, maxzoom: 13, attribution: 'Source of a test', ...more });

const box = (west, south, east, north) => ({
  type: 'Polygon', coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
});
const [WEST, SOUTH, EAST, NORTH] = BOUNDS;
const [MIDDLE_X, MIDDLE_Y] = [(WEST + EAST) / 2, (SOUTH + NORTH) / 2];
export const AREAS = {
  type: 'FeatureCollection',
  features: [
    { type: 'Feature', properties: { class: 'water', color: '#3366ff' }, geometry: box(WEST, SOUTH, MIDDLE_X, MIDDLE_Y) },
    { type: 'Feature', properties: { class: '<b>park</b>', color: '#22aa44' }, geometry: box(MIDDLE_X, MIDDLE_Y, EAST, NORTH) },
  ],
};

export const baseConfig = (more = {}) => ({ title: 'town', map: mapTiles(), source: sourceTiles(), vector: null, translate: null, ...more });

/** The files of a site: path -> how to make it. `holes` are tiles left out. */
export async function siteFiles(config, holes = []) {
  const files = new Map([['index.html', await assemble(config)]]);
  for (const layer of ['map', 'source']) {
    const tiles = config?.[layer];
    if (!tiles) continue;
    const { minzoom, maxzoom, tile_size: size, scheme } = tiles;
    for (const [name, make] of layerTiles(layer, { minzoom, maxzoom, size, scheme })) files.set(name, make);
  }
  if (config?.vector?.url) files.set(config.vector.url, JSON.stringify(AREAS));
  for (const hole of holes) files.delete(hole);
  return files;
}

const contentOf = (entry) => (typeof entry === 'function' ? entry() : entry);

export async function writeSite(folder, files) {
  for (const [name, entry] of files) {
    const target = path.join(folder, name);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, contentOf(entry));
  }
}

/** The strictest policy under which the page is to work: only its own scripts and styles, by their hashes. */
export function strictPolicy(html) {
  const hashes = (tag) => [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))]
    .map(([, text]) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`).join(' ');
  return `default-src 'none'; script-src ${hashes('script')}; style-src ${hashes('style')}; img-src 'self' blob: data:; connect-src 'self'`;
}

const TYPES = { '.html': 'text/html; charset=utf-8', '.png': 'image/png', '.geojson': 'application/geo+json' };

/** Serves a site; `translate(request, body, response)` answers what is posted. */
export async function serve(files, { translate, headers = {} } = {}) {
  const server = createServer(async (request, response) => {
    if (request.method === 'POST' && translate) {
      const parts = [];
      for await (const part of request) parts.push(part);
      await translate(request, Buffer.concat(parts), response);
      return;
    }
    const name = new URL(request.url, 'http://localhost').pathname.slice(1) || 'index.html';
    const entry = files.get(name);
    response.writeHead(entry ? 200 : 404, { 'Content-Type': TYPES[path.extname(name)] || 'text/plain', ...headers });
    response.end(entry ? contentOf(entry) : 'nothing here');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const stop = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  return { url: `http://localhost:${server.address().port}/`, stop };
}

// ---- a tab that objects ----------------------------------------------------------------------------------------------

/** Opens a tab in its own context. `complaints` collects what must not happen; `allow` is a pattern of what may. */
export async function openTab(browser, url, { allow, ...context } = {}) {
  const made = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...context });
  const page = await made.newPage();
  const complaints = [];
  const complain = (text) => { if (!allow?.test(text)) complaints.push(text); };
  await made.route('**/*', (route) => {
    const { protocol, hostname } = new URL(route.request().url());
    if (protocol === 'file:' || protocol === 'data:' || protocol === 'blob:' || hostname === 'localhost') return route.continue();
    complain(`request to elsewhere: ${route.request().url()}`);
    return route.abort();
  });
  page.on('console', (message) => { if (message.type() === 'error') complain(`console: ${message.text()} ${message.location().url}`); });
  page.on('pageerror', (error) => complain(`uncaught: ${error.message}`));
  page.on('response', (response) => { if (response.status() >= 400) complain(`status ${response.status()}: ${response.url()}`); });
  await page.goto(url);
  return { page, complaints, close: () => made.close() };
}

/** Until each tile that is wanted has come: Leaflet marks those, and takes old ones away. */
export async function settled(page) {
  await page.waitForSelector('.leaflet-tile-loaded', { state: 'attached' });
  await page.waitForFunction(() => [...document.querySelectorAll('img.leaflet-tile')].every((tile) => tile.complete)
    && !document.querySelector('.leaflet-zoom-anim, .leaflet-pan-anim')
    && [...document.querySelectorAll('.leaflet-tile-loaded')].every((tile) => tile.style.opacity === '1' || tile.style.opacity === ''));
  // The fade of a tile and the wait before the address is rewritten have no mark of their own.
  await page.waitForTimeout(350);
}

export const shot = async (page) => decodePng(await page.screenshot());

/** What the address says: zoom, centre, divider and opacity. */
export function linkOf(page) {
  const [zoom, lat, lng, swipe, opacity] = new URL(page.url()).hash.slice(1).split('/');
  return { zoom: Number(zoom), lat: Number(lat), lng: Number(lng), swipe, opacity };
}

/** The colour that a layer has at a point of the window, from the address alone; `native` is the zoom of its tiles. */
export function expectedColor(page, layer, native, size, x, y, viewport = { width: 1280, height: 800 }) {
  const { zoom, lat, lng } = linkOf(page);
  const world = 256 * 2 ** zoom;
  const radians = (lat * Math.PI) / 180;
  const worldX = ((lng + 180) / 360) * world + x - viewport.width / 2;
  const worldY = ((1 - Math.asinh(Math.tan(radians)) / Math.PI) / 2) * world + y - viewport.height / 2;
  const scale = (2 ** native * size) / world;
  const [tileX, tileY] = [Math.floor((worldX * scale) / size), Math.floor((worldY * scale) / size)];
  const inside = (value, tile) => Math.floor(value * scale - tile * size);
  return tileColor(layer, native, tileX, tileY, size, inside(worldX + 0.5, tileX), inside(worldY + 0.5, tileY));
}

const close = (a, b, tolerance) => a.every((value, i) => Math.abs(value - b[i]) <= tolerance);

/** The share of sampled points of a region at which the screen shows what the layer should. */
export function agreement(page, picture, region, { layer, native, size = 256, tolerance = 6, viewport, mix = (color) => color }) {
  const [left, top, right, bottom] = region;
  let [hits, all] = [0, 0];
  for (let x = left; x < right; x += 7) {
    for (let y = top; y < bottom; y += 7) {
      all += 1;
      hits += close(picture.at(x, y), mix(expectedColor(page, layer, native, size, x, y, viewport), x, y), tolerance);
    }
  }
  return hits / all;
}
