<?php
// The state of a parcel, for which its page asks every two seconds. The pause stands for the work of a real app.
$id = preg_replace('/\D/', '', $_GET['id'] ?? '');
$file = sys_get_temp_dir() . "/holdfast-polling-$id";
usleep(50000);
header('Content-Type: application/json');
echo json_encode(['state' => is_file($file) ? file_get_contents($file) : 'announced']);
