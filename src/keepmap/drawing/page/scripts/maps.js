// KeepMaps: expiries, and what is held after the last query.

const maps = new Map(), ROOM = 2e7; // entries that are held in memory: of the methods that were looked at last

function mapOf(run, method) {
	const map = maps.get(method) || decodedMap(method, true);
	let size = 0;
	maps.delete(method);
	maps.set(method, map);
	for (const other of [...maps.keys()].reverse()) {
		size += other.shape[0] * other.shape[1] * other.shape[2];
		if (size > ROOM && other !== method) maps.delete(other);
	}
	return map;
}

// What is held after the last query; timed: and from which query on an entry is not seen.
async function decodedMap(method, timed) {
	const [layers, heads, n] = method.shape, rows = layers * heads, { delays } = method;
	const [held, ...times] = await Promise.all([flagsOf({ id: method.held, n: rows * n }), ...(timed && delays ? [bytesOf(method.alive), numbersOf(delays)] : [])]);
	const map = { ...method, layers, heads, n, rows, held };
	let expires = null;
	return { ...map, get expires() { // null: not in the file
		if (times.length) expires = expiriesOf(map, ...times.splice(0));
		return expires;
	} };
}

function expiriesOf({ n, rows, delays }, alive, delayed) {
	const expires = new Int32Array(rows * n), { step = 1 } = delays, last = n - 1;
	for (let row = 0, at = 0, gone = 0; row < rows; row++) {
		for (let position = 0; position < n; position++, at++) {
			if ((alive[at >> 3] >> (7 - (at & 7))) & 1) {
				expires[at] = n;
				continue;
			}
			expires[at] = min(last, position + 1 + delayed[gone++] * step);
		}
	}
	return expires;
}

const scoresOf = (method) => method.scores === null ? Promise.resolve(null) : floatsOf(method.scores);

// Whether each entry is in the cache after a query: 1, 0, or 2 where it is not read by then.
function classesAt(map, step) {
	if (step >= map.n - 1 || !map.expires) return map.held;
	const { expires, n } = map, classes = new Uint8Array(expires.length).fill(2);
	for (let row = 0; row < map.rows; row++) {
		for (let at = row * n; at <= row * n + step; at++) classes[at] = expires[at] > step + 1 ? 1 : 0;
	}
	return classes;
}

function sharesOf(map, classes) {
	const shares = new Float32Array(map.n);
	for (let row = 0, at = 0; row < map.rows; row++) {
		for (let position = 0; position < map.n; position++, at++) shares[position] += classes[at] & 1;
	}
	for (let position = 0; position < map.n; position++) shares[position] /= map.rows;
	return shares;
}

// Where the window begins after a query, or before the one cut.
const windowStart = (map, step) => min(step + 1, map.context_length ?? map.n) - map.window;

const isProtected = (map, position, step) => position < map.n_sink || position >= windowStart(map, step);

// A query in words, of a map whose queries may be rounded.
const queryOf = ({ delays }, query) => (delays?.step ? `about ${whole(query)}, to ${whole(delays.step)}` : whole(query));

function reason(map, position, at) {
	const last = map.n - 1;
	if (position < map.n_sink) return "sink: protected";
	if (map.held[at]) {
		if (position >= windowStart(map, last)) return "window: protected";
		return map.threshold === null ? "score among the highest: held" : `score ≥ ${map.threshold}: held`;
	}
	const when = !map.expires ? "evicted" : map.expires[at] >= map.n ? "evicted after the last query" : `evicted after query ${queryOf(map, map.expires[at] - 1)}`;
	return map.threshold === null ? `${when}: the lowest score under the budget` : `${when}: score < ${map.threshold}`;
}

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

const methodOf = (run, name = "method") => run.maps.find((method) => method.key === state[name]) || run.maps[0];
