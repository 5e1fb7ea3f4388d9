// Package channelurl makes the URL that belongs to a channel, from the channel's name:
//
//	parcel.{id}     /status.php?id={id}
//	parcel.42       /status.php?id=42
//	parcel.1%262    /status.php?id=1%262
//	board.{b}.*     /boards/{b}/state
//
// Clients choose the names, so a name must not reach anything but what the URL was written for. What a name has in place of
// {id} is decoded, and then escaped anew, all but letters, digits and "-._~". In a query it stays one value. In a path it
// stays a part of one segment; a value that some app may read as more, as "..", "a/b" or "a;b", has no URL.
package channelurl
