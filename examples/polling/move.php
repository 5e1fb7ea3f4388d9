<?php
// Moves a parcel. In a real app, check who may do this.
$id = preg_replace('/\D/', '', $_POST['id'] ?? '');
$to = preg_replace('/[^a-z0-9 ]/', '', $_POST['to'] ?? '');
file_put_contents(sys_get_temp_dir() . "/holdfast-polling-$id", $to);
header('Content-Type: text/plain');
echo "$to\n";
