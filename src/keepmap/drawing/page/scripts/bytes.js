// Arrays: base64 of deflated bytes in script elements that nothing runs.

async function bytesOf(id) {
	const letters = atob(byId(id).textContent), packed = new Uint8Array(letters.length);
	for (let at = 0; at < letters.length; at++) packed[at] = letters.charCodeAt(at);
	return new Uint8Array(await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer());
}

// Numbers are in planes: the lowest byte of all, then the next one.
async function numbersOf({ id, n, bytes }) {
	const planes = await bytesOf(id), numbers = new Uint32Array(n);
	for (let plane = 0; plane < bytes; plane++) {
		for (let at = 0; at < n; at++) numbers[at] |= planes[plane * n + at] << (8 * plane);
	}
	return numbers;
}

// The upper halves of 32-bit floats.
async function floatsOf(array) {
	const numbers = await numbersOf(array);
	for (let at = 0; at < numbers.length; at++) numbers[at] <<= 16;
	return new Float32Array(numbers.buffer);
}

async function flagsOf({ id, n }) {
	const bits = await bytesOf(id), flags = new Uint8Array(8 * bits.length);
	for (let at = 0, bit = 0; at < bits.length; at++) for (let by = 7; by >= 0; by--) flags[bit++] = (bits[at] >> by) & 1;
	return flags.subarray(0, n);
}
