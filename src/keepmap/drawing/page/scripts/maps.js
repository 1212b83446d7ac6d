// KeepMaps as the page holds them: an expiry per layer, KV head and position, and what is held after the last query.

const maps = new Map();

// The map of one method of a run, decoded once.
function mapOf(run, method) {
	if (!maps.has(method)) maps.set(method, decodedMap(method));
	return maps.get(method);
}

async function decodedMap(method) {
	const [layers, heads, n] = method.shape, size = layers * heads * n;
	const map = { ...method, layers, heads, n, rows: layers * heads };
	map.held = await flagsOf({ id: method.held, n: size });
	if (method.delays === null) return map; // when an entry went is not in the file
	const [alive, delays] = await Promise.all([flagsOf({ id: method.alive, n: size }), numbersOf(method.delays)]);
	map.expires = new Int32Array(size);
	for (let at = 0, gone = 0; at < size; at++) map.expires[at] = alive[at] ? n : (at % n) + 1 + delays[gone++];
	return map;
}

function scoresOf(method) {
	return method.scores === null ? Promise.resolve(null) : floatsOf(method.scores);
}

// Whether each entry is in the cache after a query: 1, 0, or 2 for positions that have not been read by then.
function classesAt(map, step) {
	if (step >= map.n - 1 || !map.expires) return map.held;
	const classes = new Uint8Array(map.expires.length), { expires, n } = map;
	for (let row = 0, at = 0; row < map.rows; row++) {
		for (let position = 0; position < n; position++, at++) {
			classes[at] = position > step ? 2 : expires[at] > step + 1 ? 1 : 0;
		}
	}
	return classes;
}

// The share of its entries that each position keeps.
function sharesOf(map, classes) {
	const shares = new Float32Array(map.n);
	for (let row = 0, at = 0; row < map.rows; row++) {
		for (let position = 0; position < map.n; position++, at++) shares[position] += classes[at] === 1 ? 1 : 0;
	}
	for (let position = 0; position < map.n; position++) shares[position] /= map.rows;
	return shares;
}

// Where the window begins after a query: before its own end, or before the one cut.
function windowStart(map, step) {
	return Math.min(step + 1, map.context_length ?? map.n) - map.window;
}

function isProtected(map, position, step) {
	return position < map.n_sink || position >= windowStart(map, step);
}

// Why an entry is there or not, in words.
function reason(map, position, at, score) {
	const last = map.n - 1, by = score === null ? "" : ` (${rounded(score)})`;
	if (position < map.n_sink) return "sink: protected";
	if (map.held[at]) {
		if (position >= windowStart(map, last)) return "window: protected";
		return map.threshold === null ? `score${by} among the highest: held` : `score${by} ≥ ${map.threshold}: held`;
	}
	const when = !map.expires ? "evicted" : map.expires[at] >= map.n ? "evicted after the last query" : `evicted after query ${whole(map.expires[at] - 1)}`;
	return map.threshold === null ? `${when}: the lowest score${by} under the budget` : `${when}: score${by} < ${map.threshold}`;
}

// The text of a run: its tokens, each a string.
const texts = new Map();
function textOf(run) {
	if (!run.text) return Promise.resolve(null);
	if (!texts.has(run)) {
		texts.set(run, (async () => {
			const [bytes, lengths] = await Promise.all([bytesOf(run.text.letters), numbersOf(run.text.lengths)]);
			const letters = new TextDecoder().decode(bytes), pieces = new Array(lengths.length);
			for (let token = 0, at = 0; token < pieces.length; at += lengths[token++]) {
				pieces[token] = letters.slice(at, at + lengths[token]);
			}
			return pieces;
		})());
	}
	return texts.get(run);
}

const methodOf = (run, name) => run.maps.find((method) => method.key === state[name]) || null;
const rowName = (map, row) => `layer ${Math.floor(row / map.heads)}, KV head ${row % map.heads}`;
