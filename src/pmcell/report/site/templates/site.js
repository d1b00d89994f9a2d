"use strict";
// Search over everything, and buttons that copy code. The index is a script: a page on disk cannot fetch.
(function () {
  var input = document.getElementById("q"), panel = document.getElementById("found");
  var list = panel.querySelector("ul"), told = document.getElementById("found-count");
  var MOST = 30, index = null, wanted = false;

  function fold(text) {
    // "CD4+" is written "CD4-positive" in the Cell Ontology.
    return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/([a-z0-9])\+/gi, "$1 positive ").replace(/[-_\u2010-\u2015]/g, " ").toLowerCase().trim();
  }
  // "B" and "B cell" name the same.
  function bare(text) { return text.replace(/ cells?$/, ""); }
  function load() {
    if (wanted) return;
    wanted = true;
    var script = document.createElement("script");
    script.src = "data/search.js";
    script.onload = function () {
      var data = self.pmcellData.search;
      var drawn = new Set(data.genes.drawn);
      index = data.entries.map(function (entry) {
        return { kind: entry[0], title: entry[1], text: entry[2], url: entry[3], at: fold(entry[1]), all: fold(entry.slice(0, 3).join(" ")), names: entry[2].split(", ").map(fold).map(bare) };
      });
      data.genes.names.forEach(function (line) {
        var part = line.split(" "), id = part[part.length - 2], symbol = part.slice(0, -2).join(" ");
        var on = drawn.has(id);
        var text = id + ", measured in " + part[part.length - 1] + (part[part.length - 1] === "1" ? " cohort" : " cohorts") + (on ? ", on the map" : "");
        index.push({ kind: "gene", title: symbol, text: text, url: on || data.genes.all ? "cells.html#gene=" + id : "dictionary.html#table-genes", at: fold(symbol), all: fold("gene " + symbol + " " + id), names: [] });
      });
      show();
    };
    script.onerror = function () { told.textContent = "The search index data/search.js is missing."; };
    document.head.appendChild(script);
  }
  function score(item, words) {
    // A name of the thing itself counts most, then words that stand together, as in "T cell".
    var phrase = words.join(" "), padded = " " + item.all.replace(/[^a-z0-9]+/g, " ") + " ";
    var total = item.at === phrase || item.names.indexOf(bare(phrase)) >= 0 ? 80 : 0;
    if (words.length > 1 && padded.indexOf(" " + phrase) >= 0) total += 60;
    for (var i = 0; i < words.length; i++) {
      var word = words[i], whole = padded.indexOf(" " + word + " ") >= 0;
      // A letter is a word of its own, two begin one: "nk" is not in "unknown".
      if (!whole && item.at.indexOf(word) !== 0 && (word.length === 1 || padded.indexOf(word.length === 2 ? " " + word : word) < 0)) return 0;
      total += item.at === word ? 40 : item.at.indexOf(word) === 0 ? 20 : whole || item.at.indexOf(word) > 0 ? 10 : 1;
    }
    return total + (item.kind === "page" ? 3 : item.kind === "column" || item.kind === "gap" ? 0 : 2);
  }
  function mark(target, text, words) {
    var low = fold(text), at = -1, length = 0;
    words.forEach(function (word) {
      var place = low.indexOf(word);
      if (place >= 0 && (at < 0 || place < at)) { at = place; length = word.length; }
    });
    if (at < 0 || low.length !== text.length) { target.append(text); return; }
    var bold = document.createElement("b");
    bold.textContent = text.slice(at, at + length);
    target.append(text.slice(0, at), bold, text.slice(at + length));
  }
  function show() {
    // "T cells" asks for "T cell".
    var words = fold(input.value).split(/\s+/).filter(Boolean).map(function (word) { return word.length > 3 ? word.replace(/([^s])s$/, "$1") : word; });
    list.replaceChildren();
    panel.hidden = !words.length;
    if (!words.length) { told.textContent = ""; return; }
    if (!index) { told.textContent = "Loading the index…"; return; }
    var hits = [];
    index.forEach(function (item) {
      var points = score(item, words);
      if (points) hits.push([points, item]);
    });
    // Of equals the shorter name comes first: it is the wider thing.
    hits.sort(function (a, b) { return b[0] - a[0] || a[1].title.length - b[1].title.length || (a[1].title < b[1].title ? -1 : 1); });
    told.textContent = hits.length === 0 ? "Nothing found for “" + input.value.trim() + "”."
      : hits.length + (hits.length === 1 ? " result" : " results") + (hits.length > MOST ? ", the first " + MOST + " shown" : "");
    hits.slice(0, MOST).forEach(function (hit) {
      var item = hit[1], link = document.createElement("a"), kind = document.createElement("em"), text = document.createElement("small");
      link.href = item.url;
      kind.textContent = item.kind;
      link.append(kind);
      mark(link, item.title, words);
      mark(text, item.text, words);
      link.append(text);
      list.appendChild(document.createElement("li")).append(link);
    });
  }
  function step(by) {
    var links = Array.from(list.querySelectorAll("a")), at = links.indexOf(document.activeElement) + by;
    if (at < 0) input.focus(); else if (links[at]) links[at].focus();
  }
  function close() { panel.hidden = true; }
  input.addEventListener("focus", function () { load(); if (input.value) show(); });
  input.addEventListener("input", function () { load(); show(); });
  document.querySelector(".search").addEventListener("keydown", function (event) {
    if (event.key === "ArrowDown") { event.preventDefault(); step(1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); step(-1); }
    else if (event.key === "Escape") { input.focus(); close(); }
    else if (event.key === "Enter" && document.activeElement === input) { var first = list.querySelector("a"); if (first) first.click(); }
  });
  list.addEventListener("click", close);
  document.addEventListener("pointerdown", function (event) { if (!event.target.closest(".search")) close(); });
  document.addEventListener("focusin", function (event) { if (!event.target.closest(".search")) close(); });
  document.addEventListener("keydown", function (event) {
    var typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); input.focus(); }
  });
  if (navigator.clipboard) document.querySelectorAll(".code").forEach(function (box) {
    var button = box.querySelector("button");
    button.hidden = false;
    button.addEventListener("click", function () {
      navigator.clipboard.writeText(box.querySelector("code").textContent).then(function () { button.textContent = "Copied"; });
    });
  });
})();
