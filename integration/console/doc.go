// Package console works with the web console of the real program in a Chromium
// page, as an operator does: js/console.mjs prints a line for each thing that
// it does, "ok name" or "FAIL name: why". ENTREPOT_SCREENSHOTS names a directory
// for pictures of the pages.
package console
