// A picture of numbers, a cell each: {rows, columns, of, dot, rowName, columnName, across, words, label, keys, wide, high}

// of(row, column) is in [0, 1], or NaN; `dot` marks a cell; `keys` name the chosen one in the state; high(width) is a cell's.
function heatPicture(spec) {
	const { rows, columns, keys: [rowKey, columnKey] } = spec, canvas = el("canvas", { tabindex: "0", role: "img" }), readout = readoutLine(), node = el("div.picture", canvas, readout);
	const at = () => [stated(rowKey, 0, 0, rows - 1), stated(columnKey, 0, 0, columns - 1)], left = 74, top = 6;
	const tell = (place = at()) => { readout.textContent = spec.words(...place); };
	let wide = 1, high = 1;
	const go = (row, column) => setState({ [rowKey]: clamped(row, 0, rows - 1), [columnKey]: clamped(column, 0, columns - 1) });
	function draw() {
		if (!canvas.isConnected) return;
		const ratio = devicePixelRatio, room = (node.parentElement.clientWidth || 600) - left - 10, pen = canvas.getContext("2d");
		wide = min(spec.wide || room, room / columns);
		high = spec.high?.(wide) ?? clamped(420 / rows, 8, 30);
		const width = wide * columns, height = high * rows, x = (column) => left + column * wide, y = (row) => top + row * high;
		Object.assign(canvas.dataset, { left, top, wide, high });
		const size = { width: left + width + 10, height: height + 46 };
		for (const side of ["width", "height"]) {
			canvas.style[side] = `${size[side]}px`;
			canvas[side] = size[side] * ratio;
		}
		pen.scale(ratio, ratio);
		pen.fillStyle = ink("back");
		pen.fillRect(0, 0, canvas.width, canvas.height);
		const cells = el("canvas", { width: columns, height: rows }), image = new ImageData(columns, rows), pixels = new Uint32Array(image.data.buffer), [empty, little, much] = ["unread", "evicted", "kept"].map(colour);
		for (let row = 0, to = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
			const value = spec.of(row, column);
			pixels[to++] = pixel(Number.isNaN(value) ? empty : mixed(little, much, value));
		}
		cells.getContext("2d").putImageData(image, 0, 0);
		pen.imageSmoothingEnabled = wide < 1 / ratio;
		pen.drawImage(cells, left, top, width, height);
		pen.strokeStyle = ink("back");
		pen.lineWidth = 1;
		if (high >= 8) for (let row = 1; row < rows; row++) line(pen, left, y(row), left + width, y(row));
		if (wide >= 8) for (let column = 1; column < columns; column++) line(pen, x(column), top, x(column), top + height);
		Object.assign(pen, { font: "12px system-ui, sans-serif", textBaseline: "middle", textAlign: "end", fillStyle: ink("muted") });
		for (const row of roundNumbers(0, rows - 1, height / 22, 1)) pen.fillText(spec.rowName(row), left - 8, y(row + 0.5));
		pen.textAlign = "center";
		for (const column of roundNumbers(0, columns - 1, width / 56, 1)) pen.fillText(spec.columnName(column), x(column + 0.5), top + height + 12);
		pen.fillText(spec.across, max(left + 60, left + width / 2), top + height + 30);
		pen.fillStyle = ink("sink");
		for (let row = 0; spec.dot && row < rows; row++) for (let column = 0; column < columns; column++) if (spec.dot(row, column)) {
			pen.beginPath();
			pen.arc(x(column + 0.5), y(row + 0.5), max(2, min(wide, high) / 4), 0, 7);
			pen.fill();
			pen.stroke();
		}
		const [row, column] = at();
		pen.strokeStyle = ink("text");
		pen.lineWidth = 2;
		pen.strokeRect(x(column) - 1, y(row) - 1, max(4, wide + 1), max(4, high + 1));
	}
	const under = (event) => {
		const box = canvas.getBoundingClientRect(), column = floor((event.clientX - box.left - left) / wide), row = floor((event.clientY - box.top - top) / high);
		return row >= 0 && row < rows && column >= 0 && column < columns ? [row, column] : null;
	};
	on(canvas, "click", (event) => under(event) && go(...under(event)));
	on(canvas, "pointermove", (event) => tell(under(event) || at()));
	on(canvas, "pointerleave", () => tell());
	cellKeys(canvas, at, go, columns, () => 10);
	redrawn(node, draw);
	return { node, canvas, update() {
		describe(canvas, spec.label());
		tell();
		draw();
	} };
}

// With Shift, arrows go far.
const cellKeys = (canvas, at, go, columns, far) => onKeys(canvas, ({ shiftKey }) => {
	const [row, column] = at(), by = shiftKey ? far() : 1, down = min(by, 10);
	return { ArrowRight: () => go(row, column + by), ArrowLeft: () => go(row, column - by), ArrowDown: () => go(row + down, column), ArrowUp: () => go(row - down, column), Home: () => go(row, 0), End: () => go(row, columns - 1) };
});

const shadeKey = (least, most, ...others) => el("ul.key", el("li", least, signOf(120, {}, block("evicted", 120), upTo(24).map((at) => block("kept", 5, at / 23, 5 * at))), most), others.map(keyEntry));

const describe = (canvas, words) => (canvas.dataset.what = words) && canvas.setAttribute("aria-label", `${words}. Arrow keys go from cell to cell; the numbers are in a table.`);
