package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/entrepot-mq/entrepot/core/security"
)

// readUsers reads the users file.
func readUsers(file string) (*security.Users, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the users file: %w", err)
	}
	if info.Size() > security.MaxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, security.MaxFile)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the users file: %w", err)
	}
	u, err := security.ParseUsers(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return u, nil
}

// changeUsers replaces the users file by what change makes of it, or leaves it
// as it is. A broker that reads it meanwhile sees the old one or the new one.
func changeUsers(file string, change func(*security.Users) error) (err error) {
	file, err = target(file)
	if err != nil {
		return err
	}
	// The new file under its fixed name is the lock: another change waits for
	// nothing, it fails.
	temporary := file + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: another change is under way; if none is, one was cut off: remove it", temporary)
	}
	if err != nil {
		return fmt.Errorf("change the users file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // closed already, perhaps
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	u, err := readUsers(file)
	if errors.Is(err, fs.ErrNotExist) {
		u, err = security.ParseUsers("")
	}
	if err != nil {
		return err
	}
	if err := change(u); err != nil {
		return err
	}
	if _, err := f.WriteString(u.String()); err != nil {
		return err
	}
	if err := keepOwner(f, file); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, file); err != nil {
		return err
	}
	syncDirectory(filepath.Dir(file))
	return nil
}

// target follows a symbolic link, so that what it points to is replaced and
// not the link.
func target(file string) (string, error) {
	to, err := filepath.EvalSymlinks(file)
	if errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	return to, err
}

// syncDirectory makes a rename survive a power failure. Not every system can;
// the file itself is whole either way.
func syncDirectory(name string) {
	d, err := os.Open(name)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}
