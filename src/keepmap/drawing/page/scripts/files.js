// Files to save and words to copy.

function save(name, content, type) {
	const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
	el("a", { href: url, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// What a spreadsheet takes for a formula begins with an apostrophe.
function csvCell(value) {
	if (typeof value === "number") return String(value);
	const text = value == null ? "" : /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
	return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function saveCsv(name, head, rows) {
	save(`${stem(name)}.csv`, [head, ...rows].map((row) => row.map(csvCell).join(",") + "\n").join(""), "text/csv");
}

// Buttons that save a canvas or an svg; `keys`, or what is around it, says what its signs mean.
const saving = (name, picture, keys) => ["PNG", "SVG"].map((kind) => button(`Save as ${kind}`, () => picture() && savePicture(`${stem(name)}.${kind.toLowerCase()}`, picture(), keys || picture().closest("section"))));

async function savePicture(name, picture, keys) {
	const svg = composed(picture, keys), text = new XMLSerializer().serializeToString(svg), image = new Image(), by = picture.width / picture.clientWidth || 2, canvas = el("canvas", { width: svg.getAttribute("width") * by, height: svg.getAttribute("height") * by });
	if (name.endsWith("svg")) return save(name, text, "image/svg+xml");
	image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
	await image.decode();
	canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
	return canvas.toBlob((blob) => save(name, blob), "image/png");
}

// A picture that needs no page: what it shows, of which run, what was chosen, what signs mean.
function composed(picture, keys) {
	const { width, height } = picture.getBoundingClientRect(), wide = round(max(width, 420)), svg = el("svg.chart", { xmlns: "http://www.w3.org/2000/svg", width: wide }, el("rect", { width: "100%", height: "100%", style: { fill: "var(--back)" } })), pen = el("canvas").getContext("2d"), { run, entry } = shown;
	const asked = run.maps.map(({ density, threshold }) => (density === null ? `threshold ${threshold ?? "none"}` : `density ${percent(density, 0)}`)), chosen = chosenOptions().map((one) => one.parentNode.firstChild.data + one.selectedOptions[0].text);
	let x = 10, y = 20;
	pen.font = "12.5px system-ui, sans-serif";
	const far = (text) => pen.measureText(text).width, append = (node, reach, line) => {
		if (x > 10 && x + reach > wide) [x, y] = [10, y + line];
		node.setAttribute("transform", `translate(${x} ${y})`);
		svg.append(node);
		x += reach;
	};
	for (const text of [`${entry.title}: ${picture.dataset.what}`, `${run.name}: ${run.caption}`, [...new Set(asked), ...chosen].join(" · ")]) {
		for (const word of text.split(" ")) append(el("text", word), far(`${word} `), 17);
		[x, y] = [10, y + 18];
	}
	y -= 6;
	for (const sign of keys.querySelectorAll(".key li")) {
		let reach = 0;
		append(el("g", [...sign.childNodes].map((part) => {
			const drawn = part.nodeName === "svg" ? part.cloneNode(true) : el("text", { y: 12 }, part.textContent);
			drawn.setAttribute("x", reach);
			reach += 6 + (Number(drawn.getAttribute("width")) || far(part.textContent));
			return drawn;
		})), reach + 12, 20);
	}
	svg.setAttribute("height", ceil(y + 34 + height));
	svg.append(el("svg", { y: y + 26, width, height, viewBox: picture.getAttribute("viewBox") }, picture.toDataURL ? el("image", { href: picture.toDataURL(), width, height }) : [...picture.cloneNode(true).childNodes]));
	document.body.append(svg);
	for (const node of [svg, ...svg.querySelectorAll("*")]) {
		for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "text-anchor", "opacity"]) node.setAttribute(name, getComputedStyle(node)[name]);
		for (const name of ["style", "tabindex"]) node.removeAttribute(name);
	}
	svg.remove();
	return svg;
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

const chosenOptions = () => [...document.querySelectorAll("main .controls select")];
const stem = (what) => [shown.run.name, what, ...chosenOptions().map((one) => one.value)].join("-").replace(/[^\w.-]+/g, "_").slice(0, 100);
