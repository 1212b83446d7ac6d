// Tables that are sorted by a click or a key on their head, and saved as CSV: the numbers of every picture.

const SHOWN = { words: (value) => visible(String(value ?? "–")), number: (value) => number(value), signed: (value) => signed(value), share: (value) => percent(value, 1), whole: (value) => (value === null ? "–" : whole(value)) };
const written = (how) => SHOWN[how] || how || String;

// A column: its name, row -> value, how that is shown (one of SHOWN, or (value, row) -> text or node), what it means.
const col = (title, of, show, about) => ({ title, of, show: written(show), about, words: show === "words" });

// columns: as `col` makes them; `csv`, where a file says something else than the value.
function sortableTable({ name, caption, columns, rows, sorted = null, ascending = true, onsort = null, pick = null }) {
	const body = el("tbody"), heads = [];
	let at = sorted, up = ascending;
	const fill = () => {
		const order = [...rows];
		if (at !== null) {
			const of = columns[at].of, missing = (value) => value === null || value === undefined || Number.isNaN(value);
			order.sort((left, right) => {
				const a = of(left), b = of(right);
				if (missing(a) || missing(b)) return missing(a) - missing(b);
				return (typeof a === "string" ? a.localeCompare(b) : a - b) * (up ? 1 : -1);
			});
		}
		body.replaceChildren(...order.map((row) => {
			const cells = columns.map((column, index) => {
				const shown = column.show(column.of(row), row);
				return el(index ? "td" : "th", { scope: index ? null : "row", class: column.words ? "words" : null }, shown);
			});
			return el("tr", {}, cells);
		}));
		heads.forEach((head, index) => {
			if (index === at) head.setAttribute("aria-sort", up ? "ascending" : "descending");
			else head.removeAttribute("aria-sort");
		});
	};
	columns.forEach((column, index) => {
		const sort = button(column.title, () => {
			up = at === index ? !up : true;
			at = index;
			fill();
			if (onsort) onsort(index, up);
		}, { title: column.about || null });
		heads.push(el("th", { scope: "col", class: column.words ? "words" : null }, sort));
	});
	fill();
	const csv = () => saveCsv(name, columns.map((column) => column.title), rows.map((row) => columns.map((column) => (column.csv || column.of)(row))));
	const table = el("table", {}, caption ? el("caption", {}, caption) : null, el("thead", {}, el("tr", {}, heads)), body);
	return el("div", { class: "table" }, el("div", { class: "wide" , tabindex: "0", role: "region", "aria-label": caption || name }, table), button("Save as CSV", csv));
}

// The numbers of a picture, behind a line that opens; they are computed when it is opened.
function numbers(title, make) {
	const place = el("div");
	let open = false;
	const details = el("details", { ontoggle: () => { open = details.open; if (open) place.replaceChildren(make()); } }, el("summary", {}, title), place);
	details.refresh = () => { if (open) place.replaceChildren(make()); };
	return details;
}
