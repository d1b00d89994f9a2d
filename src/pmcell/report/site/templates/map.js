"use strict";
// The map: points are stamped into one image, so a hundred thousand of them cost a few milliseconds.
(function () {
  var data = self.pmcellData && self.pmcellData.map;
  if (!data) { document.getElementById("status").textContent = "The map's data, data/map.js, are missing."; return; }
  var el = function (id) { return document.getElementById(id); };
  var canvas = el("plot"), context = canvas.getContext("2d"), tip = el("tip"), labels = el("labels");
  var by = el("by"), geneSelect = el("gene"), legend = el("legend"), status = el("status");
  var NOT_MEASURED = 15, MAX_NAMES = 40, n = data.n;
  var x = new Uint16Array(bytes(data.x).buffer), y = new Uint16Array(bytes(data.y).buffer);
  data.fields.forEach(function (field) {
    var raw = bytes(field.codes);
    field.code = field.bytes === 2 ? new Uint16Array(raw.buffer) : raw;
    field.on = field.names.map(function () { return true; });
  });
  var shown = data.fields[0], gene = null, levels = null, names = true;
  var view = { x: data.width / 2, y: data.height / 2, scale: 1 };
  var image = null, pixels = null, owner = null, width = 0, height = 0, ratio = 1, waiting = false;

  function bytes(text) {
    var raw = atob(text), out = new Uint8Array(raw.length);
    for (var i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  function rgb(text) {
    return (255 << 24 | parseInt(text.slice(5, 7), 16) << 16 | parseInt(text.slice(3, 5), 16) << 8 | parseInt(text.slice(1, 3), 16)) >>> 0;
  }
  function number(value) { return value.toLocaleString("en"); }
  function base() { return Math.min((width * 0.94) / (data.width || 1), (height * 0.94) / (data.height || 1)); }
  function left(value) { return (value - view.x) * base() * view.scale + width / 2; }
  function top(value) { return height / 2 - (value - view.y) * base() * view.scale; }

  function fit() {
    ratio = 2;
    width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    canvas.width = width; canvas.height = height;
    image = context.createImageData(width, height);
    pixels = new Uint32Array(image.data.buffer);
    owner = new Int32Array(width * height);
    ask();
  }
  function ask() { if (!waiting) { waiting = true; requestAnimationFrame(function () { waiting = false; draw(); }); } }

  function stamp(radius) {
    var found = [];
    for (var v = -radius; v <= radius; v++) for (var u = -radius; u <= radius; u++)
      if (u * u + v * v <= radius * radius + 0.4) found.push(u, v);
    return found;
  }
  function draw() {
    pixels.fill(0); owner.fill(-1);
    var radius = Math.max(1, Math.min(6, Math.round(ratio * Math.sqrt(view.scale) * Math.min(2.2, Math.sqrt(width * height / n) / (5 * ratio)))));
    var disc = stamp(radius), factor = base() * view.scale, code = shown.code, on = shown.on;
    var colours = shown.colours.map(rgb), ramp = data.ramp.map(rgb), none = rgb("#e9edf0");
    // Cells without a count are drawn first, so that they do not hide the others.
    for (var pass = levels ? 0 : 1; pass < 2; pass++) for (var i = 0; i < n; i++) {
      if (!on[code[i]]) continue;
      var level = levels ? levels[i] : 0, positive = level > 0 && level !== NOT_MEASURED;
      if (levels && positive !== (pass === 1)) continue;
      var px = Math.round((x[i] - view.x) * factor + width / 2), py = Math.round(height / 2 - (y[i] - view.y) * factor);
      if (px < -radius || py < -radius || px >= width + radius || py >= height + radius) continue;
      var colour = !levels ? colours[code[i]] : level === NOT_MEASURED ? none : ramp[level];
      for (var k = 0; k < disc.length; k += 2) {
        var a = px + disc[k], b = py + disc[k + 1];
        if (a < 0 || b < 0 || a >= width || b >= height) continue;
        var place = b * width + a;
        pixels[place] = colour; owner[place] = i;
      }
    }
    context.putImageData(image, 0, 0);
    placeNames();
  }
  // Names stand at the median of their cells, largest first, where there is room.
  function centres(field) {
    if (field.centres) return field.centres;
    var lists = field.names.map(function () { return [[], []]; });
    for (var i = 0; i < n; i++) { lists[field.code[i]][0].push(x[i]); lists[field.code[i]][1].push(y[i]); }
    var middle = function (values) { values.sort(function (a, b) { return a - b; }); return values[values.length >> 1]; };
    field.centres = lists.map(function (pair) { return pair[0].length ? [middle(pair[0]), middle(pair[1])] : null; });
    return field.centres;
  }
  function placeNames() {
    labels.replaceChildren();
    if (!names || !/^(cell_type|cluster)$/.test(shown.key)) return;
    var taken = [], order = shown.names.map(function (_, k) { return k; });
    order.sort(function (a, b) { return shown.counts[b] - shown.counts[a]; });
    order.slice(0, MAX_NAMES).forEach(function (k) {
      var centre = centres(shown)[k];
      if (!centre || !shown.on[k]) return;
      var px = left(centre[0]) / ratio, py = top(centre[1]) / ratio, name = shown.names[k];
      var half = Math.min(72, name.length * 3.6), tall = 9 * Math.ceil(name.length * 7.2 / 144) + 2;
      var box = [px - half, py - tall, px + half, py + tall];
      if (box[0] < 0 || box[1] < 0 || box[2] > width / ratio || box[3] > height / ratio) return;
      if (taken.some(function (o) { return box[0] < o[2] && o[0] < box[2] && box[1] < o[3] && o[1] < box[3]; })) return;
      taken.push(box);
      var span = document.createElement("span");
      span.textContent = name; span.style.left = px + "px"; span.style.top = py + "px";
      labels.append(span);
    });
  }
  function tell() {
    var visible = 0, some = 0, known = 0;
    for (var i = 0; i < n; i++) if (shown.on[shown.code[i]]) {
      visible++;
      if (levels && levels[i] !== NOT_MEASURED) { known++; if (levels[i]) some++; }
    }
    var text = levels
      ? "Coloured by " + gene.symbol + ": " + number(some) + " of " + number(known) + " cells where it was measured have a count" + (known < visible ? "; in " + number(visible - known) + " it was not measured" : "") + "."
      : "Coloured by " + shown.title.toLowerCase() + ": " + number(visible) + " of " + number(n) + " points shown.";
    status.textContent = text;
    canvas.setAttribute("aria-label", "UMAP of the cells. " + text);
  }
  function fillLegend() {
    el("legend-title").textContent = shown.title + (levels ? " (cells with a count)" : " (cells)");
    var part = null;
    if (levels) {
      part = shown.names.map(function () { return [0, 0]; });
      for (var i = 0; i < n; i++) if (levels[i] !== NOT_MEASURED) { part[shown.code[i]][1]++; if (levels[i]) part[shown.code[i]][0]++; }
    }
    legend.replaceChildren();
    shown.names.forEach(function (name, k) {
      var label = document.createElement("label"), box = document.createElement("input"), dot = document.createElement("i");
      var text = document.createElement("span"), count = document.createElement("b");
      box.type = "checkbox"; box.checked = shown.on[k];
      box.addEventListener("change", function () { shown.on[k] = box.checked; tell(); ask(); });
      dot.style.background = levels ? "transparent" : shown.colours[k];
      text.textContent = name;
      count.textContent = part ? (part[k][1] ? Math.round(100 * part[k][0] / part[k][1]) + " %" : "not measured") : number(shown.counts[k]);
      label.append(box, dot, text, count);
      legend.appendChild(document.createElement("li")).append(label);
    });
    el("ramp").hidden = !levels;
    if (levels) {
      var bar = document.createElement("div"), ends = document.createElement("p"), low = document.createElement("span"), high = document.createElement("span"), head = document.createElement("span");
      bar.style.background = "linear-gradient(to right," + data.ramp.slice(1).join(",") + ")";
      head.textContent = "log-normalised expression of " + gene.symbol + "; grey: no count";
      low.textContent = "0"; high.textContent = "≥ " + gene.top;
      ends.append(low, high);
      el("ramp").replaceChildren(head, bar, ends);
    }
  }
  function refresh() { fillLegend(); tell(); ask(); }

  function choose(key) {
    el("gene-box").hidden = key !== "gene";
    by.value = key;
    if (key === "gene") { chooseGene(geneSelect.value); return; }
    levels = gene = null;
    shown = data.fields.find(function (field) { return field.key === key; });
    refresh();
  }
  function chooseGene(id) {
    var found = data.genes.find(function (item) { return item.id === id; });
    if (!found) return;
    geneSelect.value = id; el("gene-box").hidden = false; by.value = "gene";
    var done = function () {
      var raw = bytes(self.pmcellData["gene-" + id]), out = new Uint8Array(n);
      for (var i = 0; i < n; i++) out[i] = i & 1 ? raw[i >> 1] >> 4 : raw[i >> 1] & 15;
      gene = found; levels = out; shown = data.fields[0];
      refresh();
    };
    if (self.pmcellData["gene-" + id]) { done(); return; }
    status.textContent = "Loading " + found.symbol + "…";
    var script = document.createElement("script");
    script.src = "data/genes/" + id + ".js";
    script.onload = function () { if (geneSelect.value === id) done(); };
    script.onerror = function () { status.textContent = "The file data/genes/" + id + ".js is missing."; };
    document.head.append(script);
  }
  function fromAddress() {
    var match = /^#gene=([\w.-]+)$/.exec(location.hash);
    // A gene that has no file for the map is looked up below it, by genes.js.
    if (match && data.genes.some(function (item) { return item.id === match[1]; })) { chooseGene(match[1]); el("map").scrollIntoView(); }
  }
  function zoom(factor, px, py) {
    px = px === undefined ? width / 2 : px; py = py === undefined ? height / 2 : py;
    var scale = Math.max(0.5, Math.min(60, view.scale * factor)), before = base() * view.scale, after = base() * scale;
    view.x += (px - width / 2) * (1 / before - 1 / after);
    view.y -= (py - height / 2) * (1 / before - 1 / after);
    view.scale = scale; ask();
  }
  function move(dx, dy) { var factor = base() * view.scale; view.x -= dx / factor; view.y += dy / factor; ask(); }
  function home() { view = { x: data.width / 2, y: data.height / 2, scale: 1 }; ask(); }
  function hover(event) {
    var box = canvas.getBoundingClientRect(), px = Math.round((event.clientX - box.left) * ratio), py = Math.round((event.clientY - box.top) * ratio);
    var hit = -1, reach = Math.round(3 * ratio);
    for (var d = 0; d <= reach && hit < 0; d++) for (var v = -d; v <= d && hit < 0; v++) for (var u = -d; u <= d; u++) {
      var a = px + u, b = py + v;
      if (a >= 0 && b >= 0 && a < width && b < height && owner[b * width + a] >= 0) { hit = owner[b * width + a]; break; }
    }
    tip.hidden = hit < 0;
    if (hit < 0) return;
    var text = data.fields.map(function (field) { return (field.key === "cell_type" ? "" : field.title.toLowerCase() + " ") + field.names[field.code[hit]]; }).join(", ");
    if (levels) text += ", " + gene.symbol + " " + (levels[hit] === NOT_MEASURED ? "not measured" : levels[hit] ? "level " + levels[hit] + " of 14" : "no count");
    tip.textContent = text;
    var across = event.clientX - box.left, down = event.clientY - box.top;
    tip.style.left = Math.max(0, Math.min(across + 12, box.width - tip.offsetWidth - 4)) + "px";
    tip.style.top = (down + 16 + tip.offsetHeight > box.height ? down - tip.offsetHeight - 8 : down + 16) + "px";
  }

  var pointers = new Map();
  canvas.addEventListener("pointerdown", function (event) { canvas.setPointerCapture(event.pointerId); pointers.set(event.pointerId, [event.clientX, event.clientY]); });
  canvas.addEventListener("pointermove", function (event) {
    var last = pointers.get(event.pointerId);
    if (!last) { if (event.pointerType !== "touch") hover(event); return; }
    tip.hidden = true;
    var here = [event.clientX, event.clientY], other = null;
    pointers.forEach(function (place, id) { if (id !== event.pointerId) other = place; });
    if (other) {
      var box = canvas.getBoundingClientRect();
      var spread = function (place) { return Math.hypot(place[0] - other[0], place[1] - other[1]) || 1; };
      move((here[0] - last[0]) * ratio / 2, (here[1] - last[1]) * ratio / 2);
      zoom(spread(here) / spread(last), ((here[0] + other[0]) / 2 - box.left) * ratio, ((here[1] + other[1]) / 2 - box.top) * ratio);
    } else if (event.pointerType !== "touch") move((here[0] - last[0]) * ratio, (here[1] - last[1]) * ratio);
    pointers.set(event.pointerId, here);
  });
  ["pointerup", "pointercancel"].forEach(function (name) { canvas.addEventListener(name, function (event) { pointers.delete(event.pointerId); }); });
  canvas.addEventListener("pointerleave", function () { tip.hidden = true; });
  canvas.addEventListener("touchmove", function (event) { if (event.touches.length > 1) event.preventDefault(); }, { passive: false });
  canvas.addEventListener("wheel", function (event) {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    var box = canvas.getBoundingClientRect();
    zoom(Math.pow(1.0015, -event.deltaY), (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
  }, { passive: false });
  canvas.addEventListener("keydown", function (event) {
    var by = 60 * ratio, keys = {
      ArrowLeft: function () { move(by, 0); }, ArrowRight: function () { move(-by, 0); }, ArrowUp: function () { move(0, by); }, ArrowDown: function () { move(0, -by); },
      "+": function () { zoom(1.4); }, "=": function () { zoom(1.4); }, "-": function () { zoom(1 / 1.4); }, "0": home
    };
    if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); keys[event.key](); }
  });
  el("in").addEventListener("click", function () { zoom(1.5); });
  el("out").addEventListener("click", function () { zoom(1 / 1.5); });
  el("home").addEventListener("click", home);
  el("all").addEventListener("click", function () { shown.on.fill(true); refresh(); });
  el("none").addEventListener("click", function () { shown.on.fill(false); refresh(); });
  el("names").addEventListener("click", function () { names = !names; el("names").setAttribute("aria-pressed", String(names)); ask(); });
  by.addEventListener("change", function () { choose(by.value); });
  geneSelect.addEventListener("change", function () { chooseGene(geneSelect.value); });
  self.addEventListener("hashchange", fromAddress);
  if (self.ResizeObserver) new ResizeObserver(fit).observe(canvas); else self.addEventListener("resize", fit);

  data.fields.forEach(function (field) { by.add(new Option(field.title, field.key)); });
  if (data.genes.length) by.add(new Option("Gene expression", "gene"));
  data.genes.forEach(function (item) { geneSelect.add(new Option(item.symbol, item.id)); });
  fit(); fillLegend(); tell(); fromAddress();
})();
