<?php
// Moves a parcel, as the rest of the app would: nothing here tells Holdfast. In a real app, check who may do this.
$id = preg_replace('/\D/', '', $_GET['id'] ?? '');
$to = preg_replace('/[^a-z ]/', '', $_GET['to'] ?? '');
file_put_contents(sys_get_temp_dir() . "/holdfast-parcel-$id", $to);
header('Content-Type: text/plain');
echo "$to\n";
