// Tables, sorted by a click on their head, saved as CSV.

const SHOWN = { words: (value) => String(value ?? "–"), number: (value) => number(value), hundredths: (value) => number(value, 2), signed: (value) => signed(value), share: (value) => percent(value), percent: (value) => percent(value, 0),
	bar: (value) => bar(percent(value), value, "share"), whole: (value) => (value === null ? "–" : whole(value)) };
const written = (how) => SHOWN[how] || how || String;

// A column: its name, row -> value or the value's name in a row, how that is shown (one of SHOWN, or (value, row) -> text
// or node), what it means.
const col = (title, of, show, about) => ({ title, of: typeof of === "function" ? of : (row) => row[of], show: written(show), about, words: show === "words" });

const headColumns = (heads, of = (row) => row) => [col("layer", (row) => floor(of(row) / heads)), col("KV head", (row) => of(row) % heads)];

function bar(text, share, kind) {
	return el("span.bar", el("span", { class: kind, style: { width: `${100 * clamped(share || 0, 0, 1)}%` } }), el("span", text));
}

// columns are as `col` makes them; `csv` lists [title, row -> value] of the file, where that is not the value.
function sortableTable(name, caption, rows, columns, { sorted = null, ascending = true, onsort = null } = {}) {
	const body = el("tbody"), heads = [];
	let at = sorted, up = ascending;
	const fill = () => {
		const order = [...rows];
		if (at !== null) {
			const { of } = columns[at];
			order.sort((left, right) => {
				const a = of(left), b = of(right);
				if (none(a) || none(b)) return none(a) - none(b);
				return (typeof a === "string" ? a.localeCompare(b) : a - b) * (up ? 1 : -1);
			});
		}
		body.replaceChildren(...order.map((row) => el("tr", columns.map(({ of, show, words }, index) => el(index ? "td" : "th", { scope: !index && "row", class: words && "words" }, show(of(row), row))))));
		heads.forEach((head, index) => {
			head.ariaSort = index === at ? (up ? "ascending" : "descending") : null;
		});
	};
	columns.forEach(({ title, about, words }, index) => {
		const sort = button(title, () => {
			up = at !== index || !up;
			at = index;
			fill();
			onsort?.(index, up);
		}, { title: about });
		heads.push(el("th", { scope: "col", class: words && "words" }, sort));
	});
	fill();
	const csv = () => {
		const cells = columns.flatMap((column) => column.csv || [[column.title, column.of]]);
		saveCsv(name, cells.map(([title]) => title), rows.map((row) => cells.map(([, of]) => of(row))));
	};
	const table = el("table", caption ? el("caption", caption) : null, el("thead", el("tr", heads)), body);
	const told = columns.filter(({ about }) => about);
	return el("div.table", wide(caption, table), told.length ? el("details", el("summary", "What the columns mean"), el("dl.settings", told.map(({ title, about }) => [el("dt", title || "sign"), el("dd", about)]))) : null, button("Save as CSV", csv));
}

const wide = (label, node) => el("div.wide", { tabindex: "0", role: "region", "aria-label": label }, node);

// A picture's numbers, computed when they are opened.
function numbers(make) {
	const place = el("div"), fill = () => details.open && place.replaceChildren(sortableTable(...make())), details = el("details", { ontoggle: fill }, el("summary", "The numbers"), place);
	details.refresh = fill;
	return details;
}
