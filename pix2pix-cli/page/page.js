'use strict';

// The page on which a generated map is browsed: tiles, a divider between the source and the map, and polygons. It knows
// nothing of how the map was made; all that it is told stands in the JSON of #config. A classic script, because it must
// also run from a file.
(() => {
  const $ = (id) => document.getElementById(id);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const servedFromFile = location.protocol === 'file:';

  // ---- the configuration -------------------------------------------------------------------------------------------

  function readConfig() {
    let config;
    try {
      config = JSON.parse($('config').textContent);
    } catch (error) {
      throw new Error(`The settings inside this page are not valid JSON: ${error.message}`);
    }
    if (!config || typeof config !== 'object') throw new Error('The settings inside this page are empty.');
    checkTiles(config.map, 'map');
    if (config.source) checkTiles(config.source, 'source');
    return config;
  }

  function checkTiles(tiles, name) {
    const refuse = (what) => { throw new Error(`The settings of “${name}” are not usable: ${what}.`); };
    if (!tiles || typeof tiles !== 'object') refuse('they are missing');
    const { tiles: url, scheme, minzoom, maxzoom, tile_size: size, bounds } = tiles;
    if (typeof url !== 'string' || !['{z}', '{x}', '{y}'].every((part) => url.includes(part))) {
      refuse('“tiles” must be an address with {z}, {x} and {y}');
    }
    if (scheme !== 'xyz' && scheme !== 'tms') refuse(`“scheme” must be xyz or tms, not ${JSON.stringify(scheme)}`);
    if (![minzoom, maxzoom].every((zoom) => Number.isInteger(zoom) && zoom >= 0 && zoom <= 30) || minzoom > maxzoom) {
      refuse(`“minzoom” and “maxzoom” must be whole numbers from 0 to 30 in order, not ${minzoom} and ${maxzoom}`);
    }
    if (size !== 256 && size !== 512) refuse(`“tile_size” must be 256 or 512, not ${JSON.stringify(size)}`);
    const [west, south, east, north] = Array.isArray(bounds) && bounds.every(Number.isFinite) ? bounds : [];
    if (!(west < east && south < north)) refuse('“bounds” must be west, south, east and north in degrees');
  }

  // ---- tiles -------------------------------------------------------------------------------------------------------

  /** Leaflet counts zooms for tiles of 256 px; one of 512 px covers what Leaflet shows one zoom further in. */
  const zoomShift = (tiles) => Math.log2(tiles.tile_size / 256);

  const corners = ([west, south, east, north]) => L.latLngBounds([south, west], [north, east]);

  /** How far out a layer shows from shrunken tiles of its lowest zoom: few tiles always, many only two zooms. */
  function floorZoom(tiles) {
    const point = (lat, lng) => L.CRS.EPSG3857.latLngToPoint(L.latLng(lat, lng), tiles.minzoom);
    const [west, south, east, north] = tiles.bounds;
    const size = point(south, east).subtract(point(north, west)).divideBy(256);
    const few = Math.ceil(size.x) * Math.ceil(size.y) <= 400;
    return few ? 0 : Math.max(0, tiles.minzoom + zoomShift(tiles) - 2);
  }

  function tileLayer(tiles, pane, maxZoom) {
    const shift = zoomShift(tiles);
    // Tiles that only touch the bounds do not exist; rounding must not make Leaflet ask for them.
    const sliver = 360 / 256 / 2 ** (tiles.maxzoom + shift) / 100;
    const [west, south, east, north] = tiles.bounds;
    return L.tileLayer(tiles.tiles, {
      pane,
      maxZoom,
      minZoom: floorZoom(tiles),
      minNativeZoom: tiles.minzoom + shift,
      maxNativeZoom: tiles.maxzoom + shift,
      tileSize: tiles.tile_size,
      zoomOffset: -shift,
      tms: tiles.scheme === 'tms',
      noWrap: true,
      bounds: corners([west + sliver, south + sliver, east - sliver, north - sliver]),
      attribution: escapeHtml(tiles.attribution || ''),
    });
  }

  /** Leaflet takes attributions as HTML; ours are text. */
  function escapeHtml(text) {
    const box = document.createElement('span');
    box.textContent = text;
    return box.innerHTML;
  }

  /** Missing tiles are blank areas; a layer of which nothing ever came is an error that must not look like one. */
  function watchTiles(layer, name) {
    const failed = new Set();
    let anyLoaded = false;
    layer.on('tileload', () => {
      if (!anyLoaded) notice(name, null);
      anyLoaded = true;
    });
    layer.on('tileerror', (event) => failed.add(event.tile.src));
    layer.on('load', () => {
      if (anyLoaded || failed.size === 0) return;
      const { origin, pathname, href } = new URL([...failed][0]);
      const where = servedFromFile || origin !== location.origin ? href : pathname;
      const advice = servedFromFile ? 'Are they in their folder beside this page?' : 'Are they there, and is the server running?';
      notice(name, `None of the ${name} tiles could be loaded (${failed.size} tried, such as ${where}). ${advice}`);
    });
  }

  // ---- messages ----------------------------------------------------------------------------------------------------

  const notices = new Map();

  /** Shows a message under a key until it is replaced, taken back with null, or closed. */
  function notice(key, text) {
    if (text) notices.set(key, text);
    else notices.delete(key);
    $('notice-text').textContent = [...notices.values()].join('\n');
    $('notice').hidden = notices.size === 0;
  }

  function fatal(error) {
    for (const id of ['map', 'swipe', 'card', 'footer', 'notice']) $(id).hidden = true;
    $('fatal').hidden = false;
    $('fatal-text').textContent = `${error.message}\nWhoever made this page can repair it by making it again.`;
  }

  // ---- the map -----------------------------------------------------------------------------------------------------

  function makeMap(config) {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const map = L.map('map', {
      zoomControl: false,
      attributionControl: false,
      zoomAnimation: !calm,
      fadeAnimation: !calm,
      inertia: !calm,
      // Leaflet's 60 makes one notch of some wheels two zooms.
      wheelPxPerZoomLevel: 120,
    });
    const layers = [config.source, config.map].filter(Boolean);
    const maxZoom = Math.max(...layers.map((tiles) => tiles.maxzoom + zoomShift(tiles))) + 2;
    map.setMaxZoom(maxZoom);
    for (const [name, tiles] of [['source', config.source], ['map', config.map]]) {
      if (!tiles) continue;
      map.createPane(name).style.zIndex = name === 'source' ? 210 : 220;
      watchTiles(tileLayer(tiles, name, maxZoom).addTo(map), name);
    }
    limitZoom(map, config, layers);
    map.on('resize', () => limitZoom(map, config, layers));
    map.on('zoomend', () => {
      const crisp = map.getZoom() >= config.map.maxzoom + zoomShift(config.map) + 2;
      map.getPane('map').classList.toggle('crisp', crisp);
    });
    return map;
  }

  /** Lets one zoom out to every zoom that has tiles, and as far as it takes to see the whole map. */
  function limitZoom(map, config, layers) {
    const lowest = Math.min(...layers.map((tiles) => tiles.minzoom + zoomShift(tiles)));
    const bounds = corners(config.map.bounds);
    map.options.minZoom = 0;
    map.setMinZoom(Math.min(lowest, Math.max(floorZoom(config.map), map.getBoundsZoom(bounds))));
  }

  function fit(map, config) {
    map.fitBounds(corners(config.map.bounds), { padding: [8, 8] });
  }

  function addControls(map, config) {
    const zoom = L.control.zoom({ zoomInTitle: 'Zoom in', zoomOutTitle: 'Zoom out' }).addTo(map);
    const whole = L.DomUtil.create('a', '', zoom.getContainer());
    whole.href = '#';
    whole.title = 'Show the whole map';
    whole.setAttribute('role', 'button');
    whole.setAttribute('aria-label', whole.title);
    whole.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">
      <path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/></svg>`;
    L.DomEvent.on(whole, 'click', L.DomEvent.stop).on(whole, 'click', () => fit(map, config));
    // The foot of the page lays these out, so that they wrap on a narrow screen and never cover one another.
    const scale = L.control.scale({ imperial: false, maxWidth: 110 }).addTo(map);
    const attribution = L.control.attribution({ prefix: 'Leaflet' }).addTo(map);
    $('footer').prepend(scale.getContainer());
    $('footer').append(attribution.getContainer());
  }

  /** Tells where the pointer is or, without one, the centre; and which layers only show further in. */
  function addReadout(map) {
    let pointer = null;
    const digits = () => clamp(Math.ceil((map.getZoom() - 4) / 3), 2, 7);
    const show = () => {
      const { lat, lng } = pointer || map.getCenter();
      const hidden = ['source', 'map'].filter((name) => map.getPane(name) && isBelowFloor(map, name));
      const hint = hidden.length ? ` · zoom in for the ${hidden.join(' and the ')}` : '';
      const place = `${lat.toFixed(digits())}, ${L.Util.wrapNum(lng, [-180, 180], true).toFixed(digits())}`;
      $('readout').textContent = `${pointer ? '' : 'centre '}${place} · zoom ${map.getZoom()}${hint}`;
    };
    map.on('mousemove', (event) => { pointer = event.latlng; show(); });
    map.on('mouseout', () => { pointer = null; show(); });
    map.on('move zoomend', show);
  }

  function isBelowFloor(map, pane) {
    let below = false;
    map.eachLayer((layer) => {
      if (layer instanceof L.TileLayer && layer.options.pane === pane) below = map.getZoom() < layer.options.minZoom;
    });
    return below;
  }

  // ---- a divider that is a slider ----------------------------------------------------------------------------------

  const STEPS = {
    ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -100, End: 100,
  };

  /** Makes the grip in `box` a slider over its width; `onChange` is told each percentage. Returns a setter. */
  function divider(box, onChange) {
    const line = box.querySelector('.swipe-line');
    const grip = box.querySelector('.grip');
    let value = 50;
    const set = (next) => {
      value = clamp(Math.round(next * 10) / 10, 0, 100);
      line.style.left = `${value}%`;
      grip.setAttribute('aria-valuenow', String(Math.round(value)));
      grip.setAttribute('aria-valuetext', `${Math.round(value)} % source, ${100 - Math.round(value)} % map`);
    };
    const change = (next) => { set(next); onChange(value); };
    grip.addEventListener('keydown', (event) => {
      if (!(event.key in STEPS) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      change(value + STEPS[event.key]);
    });
    // The distance at which the grip was caught is kept, so that it does not jump under the finger.
    let caught = null;
    const percent = (event) => {
      const { left, width } = box.getBoundingClientRect();
      return ((event.clientX - left) / width) * 100;
    };
    grip.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      caught = percent(event) - value;
      grip.setPointerCapture(event.pointerId);
    });
    grip.addEventListener('pointermove', (event) => { if (caught !== null) change(percent(event) - caught); });
    for (const end of ['pointerup', 'pointercancel']) grip.addEventListener(end, () => { caught = null; });
    box.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      change(percent(event));
      caught = 0;
      grip.setPointerCapture(event.pointerId);
    });
    return change;
  }

  // ---- the view: mode, divider, opacity, and the link that keeps them ----------------------------------------------

  function addView(map, config) {
    const view = { mode: config.source ? 'swipe' : 'map', swipe: 50, opacity: 100 };
    const part = () => ({ source: 100, swipe: view.swipe, map: 0 })[view.mode];
    const link = () => linkOf(map, config, part(), view.opacity);
    let timer = 0;

    const clip = () => {
      const size = map.getSize();
      const origin = map.containerPointToLayerPoint([0, 0]);
      const x = (size.x * part()) / 100;
      map.getPane('map').style.clipPath = strip(origin, size, x, size.x);
      // Under a map that lets light through, the source goes on; under a full one, its blank areas must stay blank.
      if (config.source) map.getPane('source').style.clipPath = strip(origin, size, 0, view.opacity < 100 ? size.x : x);
    };
    const draw = () => {
      clip();
      map.getPane('map').style.opacity = view.opacity / 100;
      $('opacity').value = view.opacity;
      $('opacity').disabled = view.mode === 'source';
      $('opacity-value').textContent = `${view.opacity} %`;
      $('swipe').hidden = view.mode !== 'swipe';
      for (const radio of document.getElementsByName('view')) radio.checked = radio.value === view.mode;
    };
    // Some browsers refuse to have the address changed often, hence the wait.
    const keep = () => {
      clearTimeout(timer);
      timer = setTimeout(() => history.replaceState(null, '', link()), 200);
    };
    const change = () => { draw(); keep(); };
    const setSwipe = divider($('swipe'), (percent) => { view.swipe = percent; change(); });

    /** Goes where the link says; false if it says nothing of use. */
    const follow = () => {
      const place = readLink(location.hash);
      if (!place) return false;
      // A link made while only one picture was shown carries an end of the scale; it must show that picture again.
      if (config.source && place.swipe !== null) {
        view.mode = { 0: 'map', 100: 'source' }[place.swipe] || 'swipe';
        if (view.mode === 'swipe') setSwipe(place.swipe);
      }
      view.opacity = place.opacity ?? 100;
      map.setView([place.lat, place.lng], clamp(place.zoom, map.getMinZoom(), map.getMaxZoom()), { animate: false });
      return true;
    };

    setSwipe(view.swipe);
    map.on('move resize', clip);
    map.on('moveend', keep);
    addEventListener('hashchange', () => { follow(); change(); });
    $('view').hidden = !config.source;
    $('view').addEventListener('change', (event) => { view.mode = event.target.value; change(); });
    $('opacity').addEventListener('input', () => { view.opacity = Number($('opacity').value); change(); });
    $('copy-link').addEventListener('click', () => copyLink(new URL(link(), location)));
    if (!follow()) fit(map, config);
    change();
  }

  /** A strip of the window from x = `left` to `right`, in the coordinates of a Leaflet pane. */
  function strip(origin, size, left, right) {
    const [x0, x1, y0, y1] = [origin.x + left, origin.x + right, origin.y, origin.y + size.y];
    return `polygon(${x0}px ${y0}px, ${x1}px ${y0}px, ${x1}px ${y1}px, ${x0}px ${y1}px)`;
  }

  /** `#zoom/lat/lon[/swipe percent][/opacity]`; without a source the place of the percentage stays empty. */
  function linkOf(map, config, percent, opacity) {
    const { lat, lng } = map.getCenter();
    const digits = clamp(Math.ceil(map.getZoom() / 3) + 1, 3, 8);
    const parts = [map.getZoom(), lat.toFixed(digits), lng.toFixed(digits)];
    if (config.source) parts.push(percent);
    else if (opacity < 100) parts.push('');
    if (opacity < 100) parts.push(opacity);
    return `#${parts.join('/')}`;
  }

  function readLink(hash) {
    const parts = hash.replace(/^#/, '').split('/');
    const number = (text, low, high) => {
      const value = text ? Number(text) : NaN;
      return value >= low && value <= high ? value : null;
    };
    const zoom = number(parts[0], 0, 40);
    const lat = number(parts[1], -90, 90);
    const lng = number(parts[2], -180, 180);
    if (zoom === null || lat === null || lng === null) return null;
    return { zoom: Math.round(zoom), lat, lng, swipe: number(parts[3], 0, 100), opacity: number(parts[4], 0, 100) };
  }

  async function copyLink(url) {
    const copied = await copyText(url.href);
    notice('copy', copied ? null : `This browser does not let the page copy. The link is:\n${url.href}`);
    if (!copied) return;
    $('copy-link').textContent = 'Copied';
    setTimeout(() => { $('copy-link').textContent = 'Copy link'; }, 1500);
  }

  /** The clipboard of secure pages first; a selection that is copied where that is missing, as over plain HTTP. */
  async function copyText(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement('textarea');
      area.value = text;
      area.className = 'unseen';
      document.body.append(area);
      area.select();
      const copied = document.execCommand('copy');
      area.remove();
      $('copy-link').focus();
      return copied;
    }
  }

  // ---- polygons ----------------------------------------------------------------------------------------------------

  const classOf = (feature) => String(feature.properties?.class ?? 'unnamed');
  const colorOf = (feature) => {
    const color = feature.properties?.color;
    return /^#[0-9a-f]{6}$/i.test(color) ? color : '#808080';
  };

  async function addVector(map, config) {
    if (!config.vector) return;
    try {
      const data = config.vector.data || await loadJson(config.vector.url);
      map.createPane('vector').style.zIndex = 400;
      const layer = vectorLayer(data);
      showLegend(layer);
      $('vector').hidden = false;
      $('vector-toggle').addEventListener('change', ({ target }) => (target.checked ? layer.addTo(map) : layer.remove()));
      // Over a comparison of two pictures the areas would hide what is compared; they wait to be asked for.
      $('vector-toggle').checked = !config.source;
      if (!config.source) layer.addTo(map);
    } catch (error) {
      notice('vector', `The areas could not be loaded: ${error.message}`);
    }
  }

  async function loadJson(url) {
    if (servedFromFile) throw new Error('a page opened as a file may not read another file.');
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answered ${response.status} for ${url}.`);
    return response.json();
  }

  /** Canvas, because a digitised town has tens of thousands of polygons. */
  function vectorLayer(data) {
    const layer = L.geoJSON(data, {
      pane: 'vector',
      // Points would become markers, whose pictures this page does not carry.
      filter: (feature) => /Polygon$/.test(feature.geometry?.type),
      renderer: L.canvas({ pane: 'vector', padding: 0.3 }),
      // A dark outline shows also where the map below has the very colour of the class.
      style: (feature) => ({ color: '#1d2321', weight: 1, opacity: 0.75, fillOpacity: 0.5, fillColor: colorOf(feature) }),
    });
    return layer.bindTooltip((shape) => {
      const name = document.createElement('span');
      name.textContent = classOf(shape.feature);
      return name;
    }, { sticky: true });
  }

  function showLegend(layer) {
    const classes = new Map();
    layer.eachLayer(({ feature }) => classes.set(classOf(feature), colorOf(feature)));
    $('legend').replaceChildren(...[...classes].map(([name, color]) => {
      const item = document.createElement('li');
      const swatch = document.createElement('i');
      swatch.style.backgroundColor = color;
      item.append(swatch, name);
      return item;
    }));
  }

  // ---- the card, and the start -------------------------------------------------------------------------------------

  function addCard(config) {
    const title = config.title || 'Map';
    document.title = title;
    $('title').textContent = title;
    $('title').title = title;
    const fold = (open) => {
      $('card-body').hidden = !open;
      $('card-toggle').setAttribute('aria-expanded', String(open));
      $('card-toggle').setAttribute('aria-label', open ? 'Hide controls' : 'Show controls');
    };
    $('card-toggle').addEventListener('click', () => fold($('card-body').hidden));
    // On a phone the card would cover most of the map, so it starts as its title.
    fold(!matchMedia('(max-width: 480px), (max-height: 480px)').matches);
    $('card').hidden = false;
  }

  function start() {
    const config = readConfig();
    addCard(config);
    $('notice-close').addEventListener('click', () => {
      notices.clear();
      notice('', null);
    });
    const map = makeMap(config);
    addControls(map, config);
    addReadout(map);
    addView(map, config);
    addVector(map, config);
    if (config.translate && typeof addTranslatePanel !== 'undefined') addTranslatePanel(config.translate, divider);
  }

  try {
    start();
  } catch (error) {
    fatal(error);
    console.warn(error);
  }
})();
