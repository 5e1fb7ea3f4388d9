<?php
$hooks = getenv('HOLDFAST_HOOKS') ?: 'http://127.0.0.1:9090';
$request = ['method' => 'POST', 'header' => 'Content-Type: text/plain', 'content' => $_POST['text']];
$channel = urlencode($_POST['channel'] ?? 'public.news');
echo file_get_contents("$hooks/publish?channel=$channel", false, stream_context_create(['http' => $request]));
