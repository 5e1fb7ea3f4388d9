// Command archive packs a folder: go run .ci/archive.go FILE.tar.gz|FILE.zip FOLDER. Owner, order and times are always
// the same, the time that of SOURCE_DATE_EPOCH.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: archive FILE FOLDER")
	}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	check(err)
	at := time.Unix(seconds, 0).UTC()
	f, err := os.Create(os.Args[1])
	check(err)
	pack := tarball
	if strings.HasSuffix(os.Args[1], ".zip") {
		pack = zipped
	}
	check(pack(f, os.Args[2], at))
	check(f.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal("archive: ", err)
	}
}

// each calls f with the files of a folder, in order.
func each(folder string, f func(name string, mode os.FileMode, data []byte) error) error {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if info, err := e.Info(); err != nil {
			return err
		} else if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		if err := f(filepath.Base(folder)+"/"+e.Name(), mode, data); err != nil {
			return err
		}
	}
	return err
}

func tarball(w io.Writer, folder string, at time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	err = each(folder, func(name string, mode os.FileMode, data []byte) error {
		err := t.WriteHeader(&tar.Header{Name: name, Mode: int64(mode), Size: int64(len(data)), ModTime: at, Format: tar.FormatUSTAR})
		if err == nil {
			_, err = t.Write(data)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

func zipped(w io.Writer, folder string, at time.Time) error {
	z := zip.NewWriter(w)
	err := each(folder, func(name string, mode os.FileMode, data []byte) error {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
		h.SetMode(mode)
		f, err := z.CreateHeader(h)
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	})
	if err != nil {
		return err
	}
	return z.Close()
}
