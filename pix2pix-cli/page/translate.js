'use strict';

// The panel that sends a picture to the server which serves this page, and compares it with the map that comes back.
// It knows nothing of the tiles. Pages that are opened as files have no server and can leave this script out.
const addTranslatePanel = (() => {
  const $ = (id) => document.getElementById(id);

  const inMiB = (bytes) => (bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`);

  /** Why a file is not even sent, or null. */
  function refusal(file, maxBytes) {
    if (file.type && !file.type.startsWith('image/')) return `“${file.name}” is not a picture (it is ${file.type}).`;
    if (file.size === 0) return `“${file.name}” is empty.`;
    if (maxBytes && file.size > maxBytes) {
      const limit = inMiB(maxBytes);
      return `“${file.name}” is too large: it has ${inMiB(file.size)}, and this server takes at most ${limit}.`;
    }
    return null;
  }

  /** Wires the panel; `divider` makes a grip a slider (see page.js). */
  function addTranslatePanel({ url, max_bytes: maxBytes }, divider) {
    const panel = $('translate');
    const setSplit = divider($('compare'), (percent) => {
      $('compare-source').style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    });
    let running = null;
    let pictures = [];

    const show = (state, text) => {
      panel.dataset.state = state;
      $('translate-status').textContent = text;
    };
    const open = () => { if (!panel.open) panel.showModal(); };
    const forget = () => {
      pictures.forEach(URL.revokeObjectURL);
      pictures = [];
    };

    async function take(files) {
      const [file] = files;
      if (!file) return;
      open();
      // Set to nothing, so that the one that is given up has no say in what the panel shows.
      running?.abort();
      running = null;
      forget();
      const rest = files.length > 1 ? ` · the first of ${files.length} files` : '';
      $('file-facts').hidden = false;
      $('file-facts').textContent = `${file.name} · ${inMiB(file.size)}${rest}`;
      const reason = refusal(file, maxBytes);
      if (reason) show('failed', reason);
      else await send(file);
    }

    async function send(file) {
      const mine = new AbortController();
      running = mine;
      show('busy', '');
      const clock = countSeconds();
      try {
        const picture = await requestMap(url, file, mine.signal);
        if (running === mine) await present(file, picture);
      } catch (error) {
        if (running !== mine) return;
        if (error.name === 'AbortError') show('idle', 'Cancelled.');
        else show('failed', error.message);
      } finally {
        clearInterval(clock);
        if (running === mine) running = null;
      }
    }

    async function present(file, picture) {
      pictures = [file, picture].map((blob) => URL.createObjectURL(blob));
      const [sourceUrl, mapUrl] = pictures;
      $('compare-source').src = sourceUrl;
      $('compare-map').src = mapUrl;
      const shows = (id) => $(id).decode().then(() => true, () => false);
      const [sourceShows, mapShows] = await Promise.all(['compare-source', 'compare-map'].map(shows));
      if (pictures[1] !== mapUrl) return;
      if (!mapShows) throw new Error('The answer of the server is not a picture that this browser can show.');
      sizeCompare($('compare-map'), sourceShows);
      $('download').href = mapUrl;
      $('download').download = `${file.name.replace(/\.[^.]*$/, '') || 'picture'}-map.png`;
      show('done', sourceShows ? '' : 'This browser cannot show pictures of the kind that was sent, so the map is alone.');
      setSplit(50);
    }

    $('limit').textContent = maxBytes ? `At most ${inMiB(maxBytes)}.` : '';
    $('translate-open').hidden = false;
    $('translate-open').addEventListener('click', open);
    $('translate-close').addEventListener('click', () => panel.close());
    $('cancel').addEventListener('click', () => running?.abort());
    $('file').addEventListener('change', (event) => {
      take([...event.target.files]);
      event.target.value = '';
    });
    document.addEventListener('paste', (event) => take([...event.clipboardData.files]));
    acceptDrops(take);
  }

  /** The map comes as tall as the window allows, in the shape of the answer. */
  function sizeCompare({ naturalWidth: width, naturalHeight: height }, sourceShows) {
    const box = $('compare');
    box.style.aspectRatio = `${width} / ${height}`;
    box.style.width = `min(100%, calc(max(200px, 100dvh - 320px) * ${width / height}))`;
    box.querySelector('.swipe-line').hidden = !sourceShows;
    $('compare-source').hidden = !sourceShows;
  }

  function countSeconds() {
    const start = Date.now();
    const tick = () => { $('elapsed').textContent = `${Math.round((Date.now() - start) / 1000)} s`; };
    tick();
    return setInterval(tick, 1000);
  }

  /** Sends the bytes of the file as they are; answers the map or throws an error whose message the user can read. */
  async function requestMap(url, file, signal) {
    const headers = { 'Content-Type': file.type || 'application/octet-stream' };
    const address = `${url}?name=${encodeURIComponent(file.name)}`;
    const response = await fetch(address, { method: 'POST', headers, body: file, signal }).catch((error) => {
      if (error.name === 'AbortError') throw error;
      throw new Error('The server could not be reached. Is it still running?');
    });
    if (!response.ok) {
      const answer = await response.json().catch(() => null) || {};
      const text = answer.error ? `The server says: ${answer.error}` : `The server answered with status ${response.status}.`;
      throw new Error(answer.hint ? `${text}\nHint: ${answer.hint}` : text);
    }
    const picture = await response.blob();
    if (!picture.type.startsWith('image/')) throw new Error('The answer of the server is not a picture.');
    return picture;
  }

  function acceptDrops(take) {
    const holdsFiles = (event) => event.dataTransfer?.types.includes('Files');
    const mark = (on) => document.body.classList.toggle('dropping', on);
    addEventListener('dragover', (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      mark(true);
    });
    addEventListener('dragleave', (event) => { if (!event.relatedTarget) mark(false); });
    addEventListener('drop', (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      mark(false);
      take([...event.dataTransfer.files]);
    });
  }

  return addTranslatePanel;
})();
