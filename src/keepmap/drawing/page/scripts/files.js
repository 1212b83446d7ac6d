// Files to save and words to copy.

function save(name, content, type) {
	const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
	const link = el("a", { href: url, download: name });
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// What a spreadsheet would take for a formula begins with an apostrophe.
function csvCell(value) {
	if (typeof value === "number") return String(value);
	const text = value == null ? "" : /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
	return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function saveCsv(name, head, rows) {
	save(`${stem(name)}.csv`, [head, ...rows].map((row) => row.map(csvCell).join(",") + "\n").join(""), "text/csv");
}

function savePng(name, canvas) {
	canvas.toBlob((blob) => save(`${stem(name)}.png`, blob), "image/png");
}

// A picture of lines with its colours, so that it needs no style sheet.
function svgText(svg) {
	const copy = svg.cloneNode(true), from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
	from.forEach((node, at) => {
		const style = getComputedStyle(node);
		for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "text-anchor", "opacity"]) {
			to[at].setAttribute(name, style.getPropertyValue(name));
		}
		to[at].removeAttribute("tabindex");
	});
	copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
	copy.prepend(el("rect", { width: "100%", height: "100%", fill: ink("back") }));
	return new XMLSerializer().serializeToString(copy);
}

async function copy(text, what) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = el("textarea", { value: text });
		document.body.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
	say(`${what} copied`);
}

// With what was chosen.
const stem = (what) => [shown.run.name, what, ...[...document.querySelectorAll("main .controls select")].map((one) => one.value)].join("-").replace(/[^\w.-]+/g, "_").slice(0, 100);
