<?php
// What the courier's scanner calls. A real app asks who is calling: this one lets anybody.
require 'people.php';
$owner = array_search($_POST['parcel'] ?? '', array_column(PEOPLE, 'parcel'));
if ($owner === false || trim($_POST['text'] ?? '') === '') {
    http_response_code(400);
    exit;
}
$line = date('H:i') . "\t" . str_replace(["\r", "\n", "\t"], ' ', $_POST['text']) . "\n";
file_put_contents(history($_POST['parcel']), $line, FILE_APPEND | LOCK_EX);

// Its owner's pages show it, wherever they are open. The rest of the app does not change.
$hooks = getenv('HOLDFAST_HOOKS') ?: 'http://127.0.0.1:9090';
$message = ['channel' => 'user.' . array_keys(PEOPLE)[$owner], 'data' => parcel($_POST['parcel'])];
$request = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => json_encode($message)];
echo file_get_contents("$hooks/publish", false, stream_context_create(['http' => $request]));
