"use strict";
// Tables are sorted by the head of a column.
document.querySelectorAll("table.grid").forEach(function (table) {
  var body = table.tBodies[0];
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, index) {
    var button = document.createElement("button");
    button.type = "button";
    while (head.firstChild) button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === "ascending";
      var rows = Array.prototype.slice.call(body.rows);
      rows.sort(function (a, b) {
        var x = a.cells[index], y = b.cells[index];
        var result = x.dataset.sort !== undefined && y.dataset.sort !== undefined
          ? Number(x.dataset.sort) - Number(y.dataset.sort)
          : x.textContent.trim().localeCompare(y.textContent.trim(), "en", { numeric: true });
        return down ? -result : result;
      });
      rows.forEach(function (row) { body.appendChild(row); });
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) {
        other.removeAttribute("aria-sort");
      });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
});
