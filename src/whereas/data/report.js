document.querySelectorAll("table.sortable").forEach(function (table) {
  table.querySelectorAll("th button").forEach(function (button, column) {
    button.addEventListener("click", function () {
      var body = table.tBodies[0], rows = Array.from(body.rows), up = button.dataset.up !== "1";
      button.dataset.up = up ? "1" : "0";
      rows.sort(function (a, b) {
        var x = a.cells[column].textContent, y = b.cells[column].textContent, n = parseFloat(x) - parseFloat(y);
        return (isNaN(n) ? x.localeCompare(y) : n) * (up ? 1 : -1);
      });
      rows.forEach(function (row) { body.appendChild(row); });
    });
  });
});
