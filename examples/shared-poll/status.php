<?php
// The state of a parcel. Pages once asked for it every two seconds; now Holdfast does, once for all of them.
$id = preg_replace('/\D/', '', $_GET['id'] ?? '');
$file = sys_get_temp_dir() . "/holdfast-parcel-$id";
header('Content-Type: application/json');
echo json_encode(['state' => is_file($file) ? file_get_contents($file) : 'announced', 'time' => time()]);
