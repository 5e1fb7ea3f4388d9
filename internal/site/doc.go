// Package site says what a request path means in a folder that a web server would serve: a script for FastCGI, a file,
// a redirect, or nothing. It opens files and so may block: don't call it on a loop.
//
// The path is decoded once, and what is found under the decoded path is looked at again under the name that symbolic
// links lead to. Both must pass the same rules:
//
//   - nothing outside of the root, unless Follow allows links that lead there
//   - no name that begins with a dot, but for /.well-known/
//   - no program's source as a file: .php and its kin, also as .php.bak or .php~; nor other sources, settings, dumps
//     and copies by their endings, which Serve allows
//   - a script is an existing regular file that ends in .php and is not below a prefix of NoScripts;
//     only then is what follows it in the path its PATH_INFO
//
// These rules are about files. A path that names nothing on the disk is the app's, whatever it looks like, and goes to
// TryFiles.
//
// So /upload/x.jpg/y.php runs nothing: x.jpg is no script, and y.php does not exist.
package site
