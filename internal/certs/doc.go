// Package certs has the certificates of TLS listeners. It reads them from files, finds one by the server name that a client
// asks for, and replaces them while connections go on. A replacement that is not fit is reported, and the old one stays.
package certs
