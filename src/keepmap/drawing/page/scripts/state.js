// What is shown, held by the URL's hash, or in memory by a frame without one.

const state = { view: "", run: "0" };
const watchers = new Set();

function readHash() {
	const words = new URLSearchParams(location.hash.slice(1));
	for (const name of Object.keys(state)) if (name !== "view" && name !== "run") delete state[name];
	for (const [name, value] of words) if (/^[a-z]+$/.test(name)) state[name] = value;
}

function setState(changes, silently = false) {
	for (const [name, value] of Object.entries(changes)) {
		if (value == null) delete state[name];
		else state[name] = String(value);
	}
	try {
		history.replaceState(null, "", "#" + new URLSearchParams(state));
	} catch {
		// a document without a URL
	}
	if (!silently) for (const watcher of [...watchers]) watcher();
}

function stated(name, otherwise, least, most) {
	const value = state[name] === undefined ? otherwise : Number(state[name]);
	return Number.isFinite(value) ? min(most, max(least, round(value))) : otherwise;
}
