// The page as a user meets it, in a real browser, over HTTP and from a file. Run: node test/page.test.mjs
// PAGE_DIR is the folder of the page, CHROMIUM the browser; playwright-core comes from `npm install` beside this file.

import { test, describe, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, readFile, readdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import {
  AREAS, BOUNDS, CHROMIUM, PAGE_DIR, PLACEHOLDER, agreement, assemble, baseConfig, encodePng, linkOf, mapTiles, openTab, serve,
  settled, shot, siteFiles, sourceTiles, strictPolicy, writeSite,
} from './support.mjs';

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const [CENTRE_LAT, CENTRE_LNG] = [(BOUNDS[1] + BOUNDS[3]) / 2, (BOUNDS[0] + BOUNDS[2]) / 2];
const at = (zoom, ...rest) => `#${[zoom, CENTRE_LAT.toFixed(6), CENTRE_LNG.toFixed(6), ...rest].join('/')}`;
// Left of and right of every divider of these tests, clear of the card, the zoom buttons and the foot.
const LEFT = [140, 150, 350, 740];
const RIGHT = [940, 450, 1140, 740];
const MIDDLE = [420, 20, 860, 360];

let browser;
before(async () => { browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] }); });
after(() => browser?.close());

/** Opens a site of its own for a test, over HTTP or from a file, and checks at the end that nothing went wrong. */
function visitor(scheme) {
  return async (config, { hash = '', holes = [], tab = {}, server = {} }, steps) => {
    const files = await siteFiles(config, holes);
    let [url, stop] = [];
    if (scheme === 'http') {
      const headers = { 'Content-Security-Policy': strictPolicy(files.get('index.html')) };
      ({ url, stop } = await serve(files, { headers, ...server }));
    } else {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'page-test-'));
      await writeSite(folder, files);
      url = pathToFileURL(path.join(folder, 'index.html')).href;
      stop = () => rm(folder, { recursive: true });
    }
    const { page, complaints, close } = await openTab(browser, url + hash, tab);
    try {
      await steps(page, { url, files });
      assert.deepEqual(complaints, []);
    } finally {
      await close();
      await stop();
    }
  };
}

const boxOf = (page, selector) => page.locator(selector).boundingBox();
const covers = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

async function assertShows(page, region, layer, native, more = {}) {
  const share = agreement(page, await shot(page), region, { layer, native, ...more });
  assert.ok(share > 0.93, `only ${(share * 100).toFixed(0)} % of ${region} shows the ${layer}`);
}

async function assertLayoutHolds(page) {
  const overflow = await page.evaluate(() => {
    const { scrollWidth, scrollHeight } = document.scrollingElement;
    const wide = [...document.querySelectorAll('#card-body, .panel, .footer')].filter((e) => e.scrollWidth > e.clientWidth + 1);
    return [scrollWidth - innerWidth, scrollHeight - innerHeight, wide.length];
  });
  assert.deepEqual(overflow, [0, 0, 0]);
  const parts = ['.leaflet-control-zoom', '#card', '.leaflet-control-scale', '#readout', '.leaflet-control-attribution'];
  const boxes = await Promise.all(parts.map((part) => boxOf(page, part)));
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
    assert.ok(!covers(a, b), `${parts[i]} and ${parts[i + 1 + j]} cover one another`);
  }));
}

for (const scheme of ['http', 'file']) {
  const visit = visitor(scheme);

  describe(`the page, ${scheme}`, () => {
    test('fits the map at first and shows both layers in their places', () => visit(baseConfig(), {}, async (page) => {
      await settled(page);
      assert.equal(linkOf(page).zoom, 12);
      assert.equal(await page.title(), 'town');
      assert.match(await page.textContent('.leaflet-control-attribution'), /Source of a test, Made by a <test>/);
      // Zoom 12 shows the source from the shrunken tiles of zoom 13: blended pixels, so only its red is compared.
      const picture = await shot(page);
      assert.ok(picture.at(500, 300)[0] > 150 && picture.at(800, 500)[0] < 80);
      await assertShows(page, [660, 160, 880, 640], 'map', 12);
      await assertLayoutHolds(page);
    }));

    test('the divider parts the source on its left from the map on its right', () => visit(baseConfig(), { hash: at(13, 30) }, async (page) => {
      for (const percent of [30, 70]) {
        await page.evaluate((hash) => { location.hash = hash; }, at(13, percent));
        await settled(page);
        await assertShows(page, LEFT, 'source', 13);
        await assertShows(page, RIGHT, 'map', 13);
        await assertShows(page, MIDDLE, percent === 30 ? 'map' : 'source', 13);
      }
    }));

    test('the divider follows the keyboard', () => visit(baseConfig(), { hash: at(13, 50) }, async (page) => {
      await settled(page);
      const grip = page.locator('#swipe .grip');
      await grip.focus();
      const value = async () => Number(await grip.getAttribute('aria-valuenow'));
      for (const [key, expected] of [['ArrowRight', 51], ['ArrowUp', 52], ['ArrowLeft', 51], ['ArrowDown', 50], ['PageUp', 60],
        ['PageDown', 50], ['End', 100], ['ArrowRight', 100], ['Home', 0], ['ArrowLeft', 0], ['PageUp', 10]]) {
        await page.keyboard.press(key);
        assert.equal(await value(), expected, key);
      }
      assert.ok(await grip.getAttribute('aria-label'));
      assert.equal(await grip.getAttribute('aria-valuetext'), '10 % source, 90 % map');
      await settled(page);
      assert.equal(linkOf(page).swipe, '10');
      await assertShows(page, MIDDLE, 'map', 13);
    }));

    test('the divider follows the pointer, caught at any height, and the map stays', () => visit(baseConfig(), { hash: at(13, 50) }, async (page) => {
      await settled(page);
      const { lat, lng } = linkOf(page);
      await page.mouse.move(641, 200);
      await page.mouse.down();
      await page.mouse.move(500, 230, { steps: 4 });
      await page.mouse.move(897, 260, { steps: 4 });
      await page.mouse.up();
      await settled(page);
      assert.equal(linkOf(page).swipe, '70');
      assert.deepEqual([linkOf(page).lat, linkOf(page).lng], [lat, lng]);
      await assertShows(page, MIDDLE, 'source', 13);
    }));

    test('the panes stay parted after panning and zooming', () => visit(baseConfig(), { hash: at(13, 30) }, async (page) => {
      await settled(page);
      await page.mouse.move(700, 600);
      await page.mouse.down();
      await page.mouse.move(760, 560, { steps: 5 });
      await page.waitForTimeout(200);
      await page.mouse.up();
      await settled(page);
      assert.notEqual(linkOf(page).lat, Number(CENTRE_LAT.toFixed(6)));
      await assertShows(page, MIDDLE, 'map', 13);
      await assertShows(page, LEFT.with(0, 200), 'source', 13);
      await page.click('.leaflet-control-zoom-in');
      await settled(page);
      assert.equal(linkOf(page).zoom, 14);
      await assertShows(page, MIDDLE, 'map', 14);
    }));

    test('pans and zooms by keyboard, wheel, double click and button', () => visit(baseConfig(), { hash: at(13) }, async (page) => {
      await settled(page);
      await page.focus('#map');
      await page.keyboard.press('ArrowRight');
      await settled(page);
      assert.ok(linkOf(page).lng > CENTRE_LNG + 0.001);
      await page.keyboard.press('+');
      await settled(page);
      assert.equal(linkOf(page).zoom, 14);
      await page.mouse.move(300, 500);
      await page.mouse.wheel(0, 120);
      await page.waitForFunction(() => location.hash.startsWith('#13/'));
      await settled(page);
      await page.mouse.dblclick(300, 500);
      await page.waitForFunction(() => location.hash.startsWith('#14/'));
      await settled(page);
      await page.click('[aria-label="Show the whole map"]');
      await page.waitForFunction(() => location.hash.startsWith('#12/'));
      await settled(page);
    }));

    test('a link brings back place, zoom, divider and opacity', () => visit(baseConfig(), { hash: at(14, 37.5, 60) }, async (page) => {
      await settled(page);
      const kept = page.url();
      const grip = page.locator('#swipe .grip');
      const state = async () => [await grip.getAttribute('aria-valuenow'), await page.inputValue('#opacity'), linkOf(page)];
      const before = await state();
      assert.deepEqual(before.slice(0, 2), ['38', '60']);
      const first = await page.screenshot();
      await page.goto('about:blank');
      await page.goto(kept);
      await settled(page);
      assert.equal(page.url(), kept);
      assert.deepEqual(await state(), before);
      assert.ok(first.equals(await page.screenshot()), 'the same link shows the same picture');
      const length = await page.evaluate(() => history.length);
      await page.click('.leaflet-control-zoom-out');
      await page.waitForFunction(() => location.hash.startsWith('#13/'));
      assert.equal(await page.evaluate(() => history.length), length, 'moving leaves no trail in the history');
      await page.evaluate(() => { location.hash = '#nonsense/1/2'; });
      await page.waitForFunction(() => location.hash.startsWith('#13/'));
    }));

    test('the opacity of the map blends it with the source', () => visit(baseConfig(), { hash: at(13, 30) }, async (page) => {
      await settled(page);
      await page.focus('#opacity');
      for (let i = 0; i < 5; i += 1) await page.keyboard.press('PageDown');
      await settled(page);
      const opacity = Number(await page.inputValue('#opacity'));
      assert.ok(opacity < 100 && Number(linkOf(page).opacity) === opacity);
      // Red tells the layers apart: 30 in the map and 200 in the source, plus a shade of 14 that both share.
      const red = (await shot(page)).at(700, 200)[0];
      const blend = (30 * opacity + 200 * (100 - opacity)) / 100;
      assert.ok(red >= blend - 8 && red <= blend + 22, `red is ${red}, not near ${blend}`);
      await assertShows(page, LEFT, 'source', 13);
    }));

    test('one picture alone can be chosen, and its link shows it again', () => visit(baseConfig(), { hash: at(13, 40) }, async (page) => {
      await settled(page);
      for (const [mode, percent] of [['map', '0'], ['source', '100']]) {
        await page.check(`[name=view][value=${mode}]`, { force: true });
        await settled(page);
        assert.equal(await page.isVisible('#swipe'), false);
        assert.equal(linkOf(page).swipe, percent);
        for (const region of [LEFT, MIDDLE, RIGHT]) await assertShows(page, region, mode, 13);
        await page.reload();
        await settled(page);
        assert.equal(await page.isChecked(`[value=${mode}]`), true);
        await assertShows(page, LEFT, mode, 13);
      }
      await page.check('[name=view][value=swipe]', { force: true });
      assert.equal(await page.isVisible('#swipe'), true);
    }));

    test('zooms past the last tiles of both layers by enlarging them', () => visit(baseConfig(), { hash: at(18) }, async (page) => {
      await settled(page);
      assert.equal(linkOf(page).zoom, 16, 'two zooms past the last one of the map');
      assert.ok(await page.locator('.leaflet-control-zoom-in.leaflet-disabled').count());
      await assertShows(page, RIGHT, 'map', 14);
      await assertShows(page, LEFT, 'source', 13, { tolerance: 16 });
    }));

    test('tiles of 512 px and rows counted from the south come out in place', () => {
      const config = baseConfig({
        map: mapTiles({ tile_size: 512, minzoom: 11, maxzoom: 13, scheme: 'tms' }),
        source: sourceTiles({ scheme: 'tms' }),
      });
      return visit(config, { hash: at(14, 40) }, async (page) => {
        await settled(page);
        await assertShows(page, RIGHT, 'map', 13, { size: 512 });
        await page.evaluate((hash) => { location.hash = hash; }, at(13, 40));
        await settled(page);
        await assertShows(page, RIGHT, 'map', 12, { size: 512 });
        await assertShows(page, LEFT, 'source', 13);
      });
    });

    test('without a source there is no comparison', () => visit(baseConfig({ source: null }), { hash: at(13) }, async (page) => {
      await settled(page);
      assert.equal(await page.isVisible('#view'), false);
      assert.equal(await page.isVisible('#swipe'), false);
      assert.equal(await page.isVisible('#translate-open'), false);
      for (const region of [LEFT, MIDDLE, RIGHT]) await assertShows(page, region, 'map', 13);
      await page.focus('#opacity');
      await page.keyboard.press('ArrowLeft');
      await settled(page);
      assert.match(page.url(), /\/\/99$/);
      await page.reload();
      await settled(page);
      assert.equal(await page.inputValue('#opacity'), '99');
    }));

    test('a missing tile is a blank area without a broken picture', () => {
      const hole = `map/13/${2130 * 2 + 3}/${1440 * 2 + 1}.png`;
      const allow = new RegExp(`${hole}|ERR_FILE_NOT_FOUND`);
      return visit(baseConfig(), { hash: at(13, 30), holes: [hole], tab: { allow } }, async (page) => {
        await settled(page);
        assert.equal(await page.isVisible('#notice'), false);
        const ground = await page.evaluate(() => getComputedStyle(document.querySelector('#map')).backgroundColor);
        const picture = await shot(page);
        assert.equal(`rgb(${picture.at(940, 300).join(', ')})`, ground);
        await assertShows(page, MIDDLE.with(2, 630), 'map', 13);
      });
    });

    test('polygons have a legend, a switch and names', () => visit(baseConfig({ source: null, vector: { data: AREAS } }), { hash: at(13) }, async (page) => {
      await settled(page);
      assert.deepEqual(await page.locator('#legend li').allTextContents(), ['water', '<b>park</b>']);
      const swatch = await page.evaluate(() => getComputedStyle(document.querySelector('#legend i')).backgroundColor);
      assert.equal(swatch, 'rgb(51, 102, 255)');
      const [x, y] = [400, 600];
      await page.mouse.move(x - 5, y);
      await page.mouse.move(x, y);
      assert.equal(await page.textContent('.leaflet-tooltip'), 'water');
      // Leaflet looks at most every 32 ms for what lies below the pointer.
      await page.waitForTimeout(50);
      await page.mouse.move(900, 300);
      await page.waitForFunction(() => document.querySelector('.leaflet-tooltip')?.textContent === '<b>park</b>');
      const covered = (await shot(page)).at(x, y);
      await page.click('#vector .check');
      await page.mouse.move(700, 700);
      await page.waitForTimeout(300);
      assert.notDeepEqual((await shot(page)).at(x, y), covered);
      await assertShows(page, [140, 450, 600, 740], 'map', 13);
    }));

    if (scheme === 'file') {
      test('a file that may not read its polygons says so', () => visit(baseConfig({ vector: { url: 'map.geojson' } }), {}, async (page) => {
        await page.waitForSelector('#notice:not([hidden])');
        assert.match(await page.textContent('#notice-text'), /opened as a file may not read another file/);
      }));
    }

    test('over a comparison the polygons wait to be asked for', () => visit(baseConfig({ vector: { data: AREAS } }), { hash: at(13) }, async (page) => {
      await settled(page);
      assert.equal(await page.isChecked('#vector-toggle'), false);
      await assertShows(page, LEFT, 'source', 13);
      assert.equal(await page.locator('#legend li').count(), 2);
    }));

    test('on a phone the card folds, nothing covers anything, fingers find their targets', () => {
      const config = baseConfig({ vector: { data: AREAS }, translate: { url: 'translate', max_bytes: 1000 } });
      config.title = 'A rather long name of a town beside a river and below a hill';
      return visit(config, { hash: at(13, 50), tab: PHONE }, async (page) => {
        await settled(page);
        assert.equal(await page.isVisible('#card-body'), false);
        await assertLayoutHolds(page);
        await page.tap('#card-toggle');
        assert.equal(await page.isVisible('#card-body'), true);
        await assertLayoutHolds(page);
        const targets = page.locator('button:visible, .segments label, .check, input[type=range], .grip:visible, .leaflet-bar a');
        for (const target of await targets.all()) {
          const { width, height } = await target.boundingBox();
          assert.ok(width >= 40 && height >= 40, `${await target.evaluate((e) => e.outerHTML.slice(0, 80))}: ${width} x ${height}`);
        }
        assert.ok(!covers(await boxOf(page, '#card'), await boxOf(page, '#swipe .grip')));
        await page.tap('#card-toggle');
        const viewport = PHONE.viewport;
        await assertShows(page, [70, 150, 170, 500], 'source', 13, { viewport });
        await assertShows(page, [210, 150, 380, 500], 'map', 13, { viewport });
      });
    });

    test('on a phone a tap names an area and a finger drags the divider', () => visit(baseConfig({ vector: { data: AREAS } }), { hash: at(13, 50), tab: PHONE }, async (page) => {
      await settled(page);
      await page.tap('#card-toggle');
      await page.tap('#vector .check');
      await page.tap('#card-toggle');
      await page.touchscreen.tap(120, 700);
      await page.waitForFunction(() => document.querySelector('.leaflet-tooltip')?.textContent === 'water');
      const { x, y, width, height } = await boxOf(page, '#swipe .grip');
      const client = await page.context().newCDPSession(page);
      const touch = (type, dx) => client.send('Input.dispatchTouchEvent', {
        type, touchPoints: type === 'touchEnd' ? [] : [{ x: x + width / 2 + dx, y: y + height / 2 }],
      });
      for (const [type, dx] of [['touchStart', 0], ['touchMove', -40], ['touchMove', -117], ['touchEnd', 0]]) await touch(type, dx);
      await settled(page);
      assert.equal(linkOf(page).swipe, '20');
    }));

    test('two fingers zoom, and the panes stay parted', () => visit(baseConfig(), { hash: at(13, 30), tab: PHONE }, async (page) => {
      await settled(page);
      const client = await page.context().newCDPSession(page);
      const spread = (type, half) => client.send('Input.dispatchTouchEvent', {
        type, touchPoints: half ? [{ x: 195 - half, y: 300, id: 0 }, { x: 195 + half, y: 300, id: 1 }] : [],
      });
      await spread('touchStart', 40);
      for (const half of [50, 60, 70, 80]) {
        await spread('touchMove', half);
        await page.waitForTimeout(40);
      }
      await spread('touchEnd', 0);
      await page.waitForFunction(() => location.hash.startsWith('#14/'));
      await settled(page);
      await assertShows(page, [130, 150, 380, 400], 'map', 14, { viewport: PHONE.viewport });
    }));

    test('turning a phone keeps the layout and the parted panes', () => visit(baseConfig(), { hash: at(13, 30), tab: PHONE }, async (page) => {
      await settled(page);
      const viewport = { width: 844, height: 390 };
      await page.setViewportSize(viewport);
      await page.waitForFunction(() => [...document.querySelectorAll('.leaflet-tile-loaded')].some((tile) => {
        const { left, top, bottom } = tile.getBoundingClientRect();
        return left < 10 && top < 150 && bottom > 150;
      }));
      await settled(page);
      await assertLayoutHolds(page);
      await assertShows(page, [80, 220, 225, 330], 'source', 13, { viewport });
      await assertShows(page, [380, 70, 800, 330], 'map', 13, { viewport });
    }));

    test('every control is reached by the tab key and shows that it is', () => {
      const config = baseConfig({ vector: { data: AREAS }, translate: { url: 'translate', max_bytes: 1000 } });
      return visit(config, { hash: at(13) }, async (page) => {
        await settled(page);
        const seen = [];
        for (let i = 0; i < 13; i += 1) {
          await page.keyboard.press('Tab');
          seen.push(await page.evaluate(() => {
            const { id, className, name, title, nextElementSibling } = document.activeElement;
            const ring = name === 'view' ? nextElementSibling : document.activeElement;
            if (getComputedStyle(ring).outlineStyle === 'none' && document.activeElement !== document.body) return `no ring: ${id || className}`;
            return id || title || name || className;
          }));
        }
        assert.deepEqual(seen.slice(0, 11), ['map', 'Zoom in', 'Zoom out', 'Show the whole map', 'grip', 'card-toggle', 'view',
          'opacity', 'vector-toggle', 'legend', 'copy-link']);
        assert.equal(seen[11], 'translate-open');
      });
    });

    test('dark colours and calm motion are honoured', () => visit(baseConfig(), { hash: at(13), tab: { colorScheme: 'dark', reducedMotion: 'reduce' } }, async (page) => {
      await settled(page);
      assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('#card')).backgroundColor), 'rgb(31, 37, 35)');
      assert.equal(await page.locator('.leaflet-fade-anim').count(), 0);
      await assertShows(page, RIGHT, 'map', 13);
      await page.click('.leaflet-control-zoom-in');
      assert.equal(await page.locator('.leaflet-zoom-anim').count(), 0);
    }));

    test('the link can be copied', () => visit(baseConfig(), { hash: at(13, 30) }, async (page) => {
      await settled(page);
      await page.evaluate(() => {
        // What is copied is looked at where it arrives, for a clipboard is not to be had in every browser of a test.
        window.copied = [];
        Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (text) => window.copied.push(text) } });
      });
      await page.click('#copy-link');
      await page.waitForFunction(() => document.querySelector('#copy-link').textContent === 'Copied');
      assert.deepEqual(await page.evaluate(() => window.copied), [page.url()]);
      // Plain HTTP from another machine has no clipboard; the old way must do.
      await page.waitForFunction(() => document.querySelector('#copy-link').textContent === 'Copy link');
      await page.evaluate(() => Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined }) && delete navigator.clipboard);
      await page.evaluate(() => document.addEventListener('copy', () => window.copied.push(document.activeElement.value)));
      await page.click('#copy-link');
      await page.waitForFunction(() => document.querySelector('#copy-link').textContent === 'Copied');
      assert.deepEqual(await page.evaluate(() => window.copied), [page.url(), page.url()]);
      assert.equal(await page.evaluate(() => document.activeElement.id), 'copy-link');
    }));

    test('a broken configuration is told, not a blank page', async () => {
      const cases = [
        [{ ...baseConfig(), map: mapTiles({ scheme: 'zxy' }) }, /scheme.*zxy/],
        [{ ...baseConfig(), map: mapTiles({ bounds: [1, 2, 3] }) }, /bounds/],
        [{ ...baseConfig(), map: mapTiles({ minzoom: 9, maxzoom: 8 }) }, /maxzoom/],
        [{ ...baseConfig(), source: sourceTiles({ tile_size: 300 }) }, /source.*tile_size/],
        [{ title: 'none' }, /map.*missing/],
        ['{"title": ', /not valid JSON/],
        ['null', /empty/],
      ];
      for (const [config, expected] of cases) {
        await visit(config, {}, async (page) => {
          assert.match(await page.textContent('#fatal-text'), expected);
          assert.equal(await page.isVisible('#fatal'), true);
          assert.equal(await page.isVisible('#card'), false);
        });
      }
    });

    test('a map of which no tile loads says so, and can be told to be quiet', () => {
      const config = baseConfig();
      return visit({ ...config, map: mapTiles({ tiles: 'elsewhere/{z}/{x}/{y}.png' }) }, { tab: { allow: /elsewhere|ERR_FILE_NOT_FOUND/ } }, async (page) => {
        await page.waitForSelector('#notice:not([hidden])');
        const text = await page.textContent('#notice-text');
        assert.match(text, /None of the map tiles could be loaded \(4 tried, such as .*elsewhere\/12\/213[01]\/144[01]\.png\)/);
        assert.doesNotMatch(text, /source tiles/);
        await page.click('#notice-close');
        assert.equal(await page.isVisible('#notice'), false);
      });
    });
  });
}

describe('only where the page is served', () => {
  const visit = visitor('http');
  const ANSWER = encodePng(120, 80, () => [20, 200, 60]);
  const PICTURE = encodePng(120, 80, () => [220, 30, 30]);
  const config = baseConfig({ translate: { url: 'translate', max_bytes: 2048 } });
  const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });
  const answerPicture = (request, bytes, response) => {
    response.writeHead(200, { 'Content-Type': 'image/png' });
    response.end(ANSWER);
  };
  const answerJson = (status, body) => (request, bytes, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  const openPanel = async (page) => {
    await settled(page);
    await page.click('#translate-open');
  };

  test('polygons come from their own address', () => visit(baseConfig({ source: null, vector: { url: 'map.geojson' } }), {}, async (page) => {
    await page.waitForSelector('#legend li');
    assert.equal(await page.locator('#legend li').count(), 2);
  }));

  test('a layer of very many tiles waits for its zoom instead of asking for them all', () => {
    const dense = baseConfig({ source: sourceTiles({ minzoom: 16, maxzoom: 16 }) });
    return visit(dense, { hash: at(13, 50) }, async (page) => {
      await settled(page);
      assert.match(await page.textContent('#readout'), /zoom 13 · zoom in for the source$/);
      assert.equal(await page.locator('img[src*="source/"]').count(), 0);
      await page.click('.leaflet-control-zoom-in');
      await page.waitForSelector('img.leaflet-tile-loaded[src*="source/"]', { state: 'attached' });
      assert.match(await page.textContent('#readout'), /zoom 14$/);
      await settled(page);
    });
  });

  test('polygons that do not come are told', () => {
    const broken = baseConfig({ vector: { url: 'map.geojson' } });
    return visit(broken, { holes: ['map.geojson'], tab: { allow: /404/ } }, async (page) => {
      await page.waitForFunction(() => /areas could not be loaded.*404/.test(document.querySelector('#notice-text').textContent));
      assert.equal(await page.isVisible('#vector'), false);
    });
  });

  test('a picture is sent as it is, and its map is compared and kept', () => {
    let seen = null;
    const translate = (request, bytes, response) => {
      seen = { bytes, headers: request.headers, url: request.url };
      answerPicture(request, bytes, response);
    };
    return visit(config, { server: { translate } }, async (page) => {
      await openPanel(page);
      assert.equal(await page.evaluate(() => document.activeElement.id), 'file');
      await page.setInputFiles('#file', file('Zürich & co.png', 'image/png', PICTURE));
      await page.waitForSelector('[data-state=done]');
      assert.ok(seen.bytes.equals(PICTURE));
      assert.equal(new URL(seen.url, 'http://localhost').pathname, '/translate');
      assert.equal(seen.headers['content-type'], 'image/png');
      assert.equal(new URL(seen.url, 'http://localhost').searchParams.get('name'), 'Zürich & co.png');
      assert.match(await page.textContent('#file-facts'), /Zürich & co\.png · 1 KiB/);
      const { x, y, width, height } = await boxOf(page, '#compare');
      assert.ok(Math.abs(width / height - 1.5) < 0.02);
      const look = async (part) => (await shot(page)).at(Math.round(x + width * part), Math.round(y + height * 0.15));
      assert.deepEqual([await look(0.3), await look(0.7)], [[220, 30, 30], [20, 200, 60]]);
      await page.focus('#compare .grip');
      await page.keyboard.press('End');
      assert.deepEqual(await look(0.7), [220, 30, 30]);
      await page.mouse.click(x + width * 0.2, y + height * 0.2);
      assert.deepEqual(await look(0.3), [20, 200, 60]);
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
      assert.equal(download.suggestedFilename(), 'Zürich & co-map.png');
      assert.ok((await readFile(await download.path())).equals(ANSWER));
      await page.keyboard.press('Escape');
      assert.equal(await page.isVisible('#translate'), false);
    });
  });

  test('a picture can be dropped anywhere or pasted', () => {
    return visit(config, { server: { translate: answerPicture } }, async (page) => {
      await settled(page);
      for (const kind of ['drop', 'paste']) {
        await page.evaluate(({ bytes, kind: type }) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], `${type}.png`, { type: 'image/png' }));
          const event = type === 'drop' ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent('paste', { clipboardData: data, bubbles: true });
          document.querySelector('#map').dispatchEvent(event);
        }, { bytes: [...PICTURE], kind });
        await page.waitForFunction((name) => document.querySelector('#translate').open
          && document.querySelector('#translate').dataset.state === 'done'
          && document.querySelector('#file-facts').textContent.startsWith(name), `${kind}.png`);
        await page.click('#translate-close');
      }
    });
  });

  test('a picture that the browser cannot show still gets its map', () => {
    return visit(config, { server: { translate: answerPicture } }, async (page) => {
      await openPanel(page);
      await page.setInputFiles('#file', file('town.tif', 'image/tiff', Buffer.from('II*\0 not for a browser')));
      await page.waitForSelector('[data-state=done]');
      assert.match(await page.textContent('#translate-status'), /cannot show/);
      assert.equal(await page.isVisible('#compare-map'), true);
      assert.equal(await page.isVisible('#compare .grip'), false);
    });
  });

  test('what is too large, empty or no picture is not even sent', () => {
    const translate = () => assert.fail('nothing may be sent');
    return visit(config, { server: { translate } }, async (page) => {
      await openPanel(page);
      for (const [upload, expected] of [
        [file('big.png', 'image/png', Buffer.alloc(4096)), /“big.png” is too large: it has 4 KiB.*at most 2 KiB/],
        [file('none.png', 'image/png', Buffer.alloc(0)), /empty/],
        [file('notes.txt', 'text/plain', Buffer.from('hello')), /not a picture/],
      ]) {
        await page.setInputFiles('#file', upload);
        assert.match(await page.textContent('#translate-status'), expected);
        assert.equal(await page.getAttribute('#translate', 'data-state'), 'failed');
      }
    });
  });

  test('errors of the server are shown in its words', async () => {
    for (const [status, body, expected] of [
      [422, { error: 'the picture is too small', hint: 'send a larger one' }, 'The server says: the picture is too small\nHint: send a larger one'],
      [500, { error: '<b>it broke</b>' }, 'The server says: <b>it broke</b>'],
      [502, 'no JSON', 'The server answered with status 502.'],
      [200, { not: 'a picture' }, 'The answer of the server is not a picture.'],
    ]) {
      await visit(config, { server: { translate: answerJson(status, body) }, tab: { allow: new RegExp(String(status)) } }, async (page) => {
        await openPanel(page);
        await page.setInputFiles('#file', file('town.png', 'image/png', PICTURE));
        await page.waitForSelector('[data-state=failed]');
        assert.equal(await page.textContent('#translate-status'), expected);
      });
    }
  });

  test('a server that is gone is told', () => {
    const translate = (request) => { request.socket.destroy(); };
    return visit(config, { server: { translate }, tab: { allow: /ERR_EMPTY_RESPONSE|ERR_CONNECTION/ } }, async (page) => {
      await openPanel(page);
      await page.setInputFiles('#file', file('town.png', 'image/png', PICTURE));
      await page.waitForSelector('[data-state=failed]');
      assert.match(await page.textContent('#translate-status'), /could not be reached/);
    });
  });

  test('a wait can be cancelled, and a second picture takes the place of the first', () => {
    let closed = 0;
    let slow = true;
    const translate = (request, bytes, response) => {
      response.on('close', () => { closed += response.writableFinished ? 0 : 1; });
      if (!slow) answerPicture(request, bytes, response);
    };
    return visit(config, { server: { translate } }, async (page) => {
      await openPanel(page);
      await page.setInputFiles('#file', file('first.png', 'image/png', PICTURE));
      await page.waitForSelector('[data-state=busy]');
      await page.waitForFunction(() => document.querySelector('#elapsed').textContent === '1 s');
      await page.click('#cancel');
      await page.waitForSelector('[data-state=idle]');
      assert.equal(await page.textContent('#translate-status'), 'Cancelled.');
      await page.setInputFiles('#file', file('second.png', 'image/png', PICTURE));
      await page.waitForTimeout(100);
      slow = false;
      await page.setInputFiles('#file', file('third.png', 'image/png', PICTURE));
      await page.waitForSelector('[data-state=done]');
      assert.match(await page.textContent('#file-facts'), /^third/);
      assert.equal(closed, 2);
    });
  });

  test('on a phone the panel fits', () => {
    return visit(config, { server: { translate: answerPicture }, tab: PHONE }, async (page) => {
      await settled(page);
      await page.tap('#card-toggle');
      await page.tap('#translate-open');
      await page.setInputFiles('#file', file('town.png', 'image/png', PICTURE));
      await page.waitForSelector('[data-state=done]');
      const { x, y, width, height } = await boxOf(page, '#translate');
      assert.ok(x >= 0 && y >= 0 && x + width <= 390 && y + height <= 844);
      assert.equal(await page.evaluate(() => document.querySelector('#translate').scrollWidth <= document.querySelector('#translate').clientWidth), true);
    });
  });
});

describe('the files of the page', () => {
  test('the template has each placeholder once, and every part can stand inside a page', async () => {
    const template = await readFile(path.join(PAGE_DIR, 'index.html'), 'utf8');
    const names = [...template.matchAll(PLACEHOLDER)].map(([, name, config]) => name || config);
    assert.deepEqual(names, ['leaflet.css', 'page.css', 'config', 'leaflet.js', 'translate.js', 'page.js']);
    for (const name of ['page.js', 'translate.js', 'leaflet/leaflet.js', 'page.css', 'leaflet/leaflet.css']) {
      const text = await readFile(path.join(PAGE_DIR, name), 'utf8');
      assert.doesNotMatch(text, /<\/script|<\/style|<!--|\{\{|sourceMappingURL/i, name);
      assert.doesNotMatch(text, /url\((?!#)|@import/, name);
    }
  });

  test('no file is needed beside the page but its tiles', async () => {
    const html = await assemble(baseConfig());
    assert.doesNotMatch(html, /<(script|link|img|iframe)[^>]+(src|href)="(?!data:)/);
    assert.deepEqual((await readdir(path.join(PAGE_DIR, 'leaflet'))).sort(), ['LICENSE', 'leaflet.css', 'leaflet.js']);
    assert.match(html, /BSD 2-Clause/);
  });
});
