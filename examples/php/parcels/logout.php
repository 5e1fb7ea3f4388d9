<?php
// As the manual of PHP has it: the session ends, and the browser's cookie with it.
session_start();
$_SESSION = [];
setcookie(session_name(), '', ['expires' => 1, 'path' => '/']);
session_destroy();
header('Location: index.php', true, 303);
