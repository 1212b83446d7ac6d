// Colours stand in the style sheet, light and dark.

function colour(name) {
	const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
	return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;
const ink = (name) => css(colour(name));
const mixed = (from, to, share) => from.map((part, at) => round(part + (to[at] - part) * share));

const MARKS = ["circle", "square", "up", "diamond", "down", "plus", "cross", "star"];
const DASHES = ["", "6 3", "2 2", "8 2 2 2"];

// No two of the first eight curves differ by colour alone.
function curve(at) {
	return { colour: ink(`curve-${at % 7}`), mark: MARKS[at % MARKS.length], dashes: DASHES[at % DASHES.length] };
}

function mark(kind, x, y, size, stroke, fill = stroke) {
	const s = size, third = s * 2 / 3, shapes = {
		circle: `M${x - s},${y}a${s},${s} 0 1,0 ${2 * s},0a${s},${s} 0 1,0 ${-2 * s},0`,
		square: `M${x - s},${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
		up: `M${x},${y - s}l${s},${2 * s}h${-2 * s}z`,
		down: `M${x},${y + s}l${s},${-2 * s}h${-2 * s}z`,
		diamond: `M${x},${y - 1.3 * s}l${1.3 * s},${1.3 * s}l${-1.3 * s},${1.3 * s}l${-1.3 * s},${-1.3 * s}z`,
		plus: `M${x - s},${y - s / 3}h${third}v${-third}h${third}v${third}h${third}v${third}h${-third}v${third}h${-third}v${-third}h${-third}z`,
		cross: `M${x - s},${y - s}l${2 * s},${2 * s}M${x + s},${y - s}l${-2 * s},${2 * s}`,
		star: `M${x},${y - s}V${y + s}M${x - s},${y - s / 2}l${2 * s},${s}M${x + s},${y - s / 2}l${-2 * s},${s}`,
	};
	return el("path", { d: shapes[kind], fill, stroke, "stroke-width": 1.5 });
}
