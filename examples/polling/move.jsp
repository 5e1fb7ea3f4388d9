<%@ page contentType="text/plain" session="false" trimDirectiveWhitespaces="true" %>
<%-- Moves a parcel. In a real app, check who may do this. --%>
<%
    String id = request.getParameter("id").replaceAll("\\D", "");
    String to = request.getParameter("to").replaceAll("[^a-z0-9 ]", "");
    application.setAttribute("parcel." + id, to);
    out.println(to);
%>
