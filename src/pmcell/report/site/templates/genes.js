"use strict";
// One gene of all: the share of the cells of each type in which it has a count.
(function () {
  var UNKNOWN = 255, input = document.getElementById("any-gene"), told = document.getElementById("gene-told");
  var box = document.getElementById("gene-types"), body = box.querySelector("tbody"), data = null, wanted = false;
  function load(then) {
    if (data) { then(); return; }
    if (wanted) return;
    wanted = true;
    var script = document.createElement("script");
    script.src = "data/gene-types.js";
    script.onload = function () {
      data = self.pmcellData.gene_types;
      data.ids = data.genes.split(" "); data.names = data.symbols.split("\t");
      data.place = new Map();
      data.names.forEach(function (name, k) { if (name && !data.place.has(name.toUpperCase())) data.place.set(name.toUpperCase(), k); });
      data.ids.forEach(function (id, k) { data.place.set(id.toUpperCase(), k); });
      data.raw = atob(data.shares);
      show();
    };
    script.onerror = function () { told.textContent = "The file data/gene-types.js is missing."; };
    document.head.append(script);
  }
  function show() {
    var asked = input.value.trim(), k = data.place.get(asked.toUpperCase());
    box.hidden = k === undefined;
    if (!asked) { told.textContent = ""; return; }
    if (k === undefined) {
      var near = data.names.filter(function (name) { return name.toUpperCase().indexOf(asked.toUpperCase()) === 0; }).slice(0, 5);
      told.textContent = "No gene of this release is called “" + asked + "”." + (near.length ? " Genes that begin so: " + near.join(", ") + "." : "");
      return;
    }
    told.textContent = (data.names[k] || data.ids[k]) + " (" + data.ids[k] + "): share of cells with a count, by cell type.";
    var rows = data.types.map(function (name, t) { return [name, data.n_cells[t], data.raw.charCodeAt(k * data.types.length + t)]; });
    rows.sort(function (a, b) { return (b[2] === UNKNOWN ? -1 : b[2]) - (a[2] === UNKNOWN ? -1 : a[2]); });
    body.replaceChildren();
    rows.forEach(function (row) {
      var line = body.insertRow(), head = document.createElement("th"), share = row[2] / data.steps;
      var texts = [row[0], row[1].toLocaleString("en"), row[2] === UNKNOWN ? "not measured" : share === 0 ? "0 %" : share * 100 < 0.5 ? "< 0.5 %" : Math.round(share * 100) + " %"];
      line.setAttribute("role", "row");
      texts.forEach(function (text, c) {
        var cell = c ? line.insertCell() : head;
        cell.setAttribute("role", c ? "cell" : "rowheader");
        cell.dataset.label = box.querySelectorAll("thead th")[c].textContent;
        if (c) cell.className = "n"; else { head.scope = "row"; line.append(head); }
        if (c === 2 && row[2] !== UNKNOWN) {
          var bar = document.createElement("span"), part = document.createElement("i");
          bar.className = "bar"; bar.setAttribute("aria-hidden", "true"); part.style.width = (100 * share).toFixed(1) + "%";
          bar.append(part); cell.append(bar);
        }
        cell.append(text);
      });
    });
  }
  function fromAddress() {
    var match = /^#gene=([\w.-]+)$/.exec(location.hash);
    if (!match) return;
    input.value = match[1];
    load(show);
    if (!self.pmcellData || !self.pmcellData.map || !self.pmcellData.map.genes.some(function (gene) { return gene.id === match[1]; })) document.getElementById("any").scrollIntoView();
  }
  input.addEventListener("input", function () { load(show); });
  self.addEventListener("hashchange", fromAddress);
  fromAddress();
})();
