//go:build e2e && linux

package e2e

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"testing"
)

// forwardingDLL returns a DLL for amd64 that exports a function, which is one of another DLL ("OTHER.Function"). Go's
// runtime needs ProcessPrng of bcryptprimitives.dll, which wine has from version 9 on.
func forwardingDLL(t *testing.T, name, function, to string) []byte {
	t.Helper()
	const (
		section = 0x1000 // address of the only section
		file    = 0x200  // its place in the file, and its size there
	)
	// The section: export directory, addresses, names and ordinals of one function, and the texts that these point to.
	type exports struct {
		_                                      [12]byte
		Name, Base, Functions, Names           uint32
		AddrFunctions, AddrNames, AddrOrdinals uint32
		Function, FunctionName                 uint32
		Ordinal                                uint16
	}
	e := exports{Base: 1, Functions: 1, Names: 1}
	size := uint32(binary.Size(e))
	e.AddrFunctions, e.AddrNames, e.AddrOrdinals = section+40, section+44, section+48
	e.Name = section + size
	e.FunctionName = e.Name + uint32(len(name)) + 1
	e.Function = e.FunctionName + uint32(len(function)) + 1 // inside of the directory: a text, not code
	texts := name + "\x00" + function + "\x00" + to + "\x00"

	h := pe.OptionalHeader64{
		Magic: 0x20b, SizeOfInitializedData: file, ImageBase: 0x180000000, SectionAlignment: section, FileAlignment: file,
		MajorOperatingSystemVersion: 6, MajorSubsystemVersion: 6, SizeOfImage: 2 * section, SizeOfHeaders: file,
		Subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_CUI, DllCharacteristics: pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT, NumberOfRvaAndSizes: 16,
	}
	h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT] = pe.DataDirectory{VirtualAddress: section, Size: size + uint32(len(texts))}
	var dos [64]byte
	copy(dos[:], "MZ")
	dos[60] = byte(len(dos)) // where the header begins
	var b bytes.Buffer
	for _, part := range []any{
		dos, [4]byte{'P', 'E'},
		pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: uint16(binary.Size(h)),
			Characteristics: pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE | pe.IMAGE_FILE_DLL},
		h,
		pe.SectionHeader32{Name: [8]byte{'.', 'e', 'd', 'a', 't', 'a'}, VirtualSize: section, VirtualAddress: section, SizeOfRawData: file,
			PointerToRawData: file, Characteristics: pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	b.Write(make([]byte, file-b.Len()))
	if err := binary.Write(&b, binary.LittleEndian, e); err != nil {
		t.Fatal(err)
	}
	b.WriteString(texts)
	b.Write(make([]byte, 2*file-b.Len()))
	return b.Bytes()
}
