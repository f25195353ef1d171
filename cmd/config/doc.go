// Package config owns the broker's settings: one plain struct, [Config], its
// defaults, and how file, environment and flags are laid over them.
//
// cmd/entrepot calls [Load] once at start and again on SIGHUP. Precedence is
// flags > environment > file > default, key by key; a [Loaded] remembers where
// each value came from. Every way of giving a value ends in the same setter,
// so "64MiB" means the same everywhere.
//
// The file is strict YAML. What is wrong with it is reported all at once, as
// [SettingError] values with line, column, an excerpt and a suggestion; nothing is
// ignored and nothing is guessed. Environment variables are named by rule:
// store.syncInterval is ENTREPOT_STORE_SYNC_INTERVAL, and with _FILE behind it
// the variable names a file that holds the value.
//
// The package knows no other part of the broker but the names of destinations and their policies;
// what a listener URI or a certificate is worth is checked where it is used.
package config
