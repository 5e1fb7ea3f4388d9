<?php
// Holdfast asks here, with the cookies of the client, before it holds one on a private channel.
session_start(['read_and_close' => true]);
if (!isset($_SESSION['user'])) {
    http_response_code(403);
    exit;
}
header('Content-Type: application/json');
echo json_encode(['user' => $_SESSION['user']]);
