<?php // Holdfast asks here, with the browser's own cookie, before it holds one: who is this?
session_start(['read_and_close' => true]);
if (!isset($_SESSION['user'])) {
    http_response_code(401);
    exit;
}
header('Content-Type: application/json');
echo json_encode(['user' => $_SESSION['user']]);
